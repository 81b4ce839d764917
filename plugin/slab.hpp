#pragma once
// Blocks of memory that chunk data passes through between disk and socket. They are used again and again: touching fresh
// memory costs more than the copy it is for.
//
// Thread rule: the pool is for any threads; a slab is for one at a time.

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace ut_xet {

// A slab holds several chunks, so that one wakeup, one write and one batch of hashes serve many; and small enough for a few
// of them to stay in a core's cache.
inline constexpr std::size_t slab_bytes = 512 * 1024;

struct slab
{
	explicit slab(std::size_t n) : data(std::make_unique_for_overwrite<std::uint8_t[]>(n)), capacity(n) {}
	std::size_t room() const { return capacity - used; }
	std::uint8_t* end() { return data.get() + used; }

	std::unique_ptr<std::uint8_t[]> data;
	std::size_t const capacity;
	std::size_t used = 0;
};

// The slabs given out may outlive the pool.
class slab_pool
{
public:
	// At least that many bytes, empty. Comes back to the pool when the last owner lets go of it.
	std::shared_ptr<slab> take(std::size_t bytes = slab_bytes)
	{
		if (bytes > slab_bytes) return std::make_shared<slab>(bytes);
		std::unique_ptr<slab> s;
		{
			std::lock_guard const lock(m_free->mutex);
			if (!m_free->slabs.empty())
			{
				// the last one used: it may still be in the cache
				s = std::move(m_free->slabs.back());
				m_free->slabs.pop_back();
			}
		}
		if (!s) s = std::make_unique<slab>(slab_bytes);
		s->used = 0;
		return {s.release(), [free = m_free](slab* back) { free->give_back(std::unique_ptr<slab>(back)); }};
	}

private:
	static constexpr std::size_t max_free = 8;

	struct free_list
	{
		void give_back(std::unique_ptr<slab> s)
		{
			std::lock_guard const lock(mutex);
			if (slabs.size() < max_free) slabs.push_back(std::move(s));
		}
		std::mutex mutex;
		std::vector<std::unique_ptr<slab>> slabs;
	};

	std::shared_ptr<free_list> m_free = std::make_shared<free_list>();
};

} // namespace ut_xet
