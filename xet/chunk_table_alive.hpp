#pragma once
// Which containers are alive: a bit each, in pages made on demand.
//
// Thread rule: test from any thread at any time; set and clear from one thread at a time.

#include "xet/chunk_table.hpp"

#include <atomic>

namespace xet {

class container_set
{
public:
	container_set() : m_pages(page_count) {}
	container_set(container_set const&) = delete;
	container_set& operator=(container_set const&) = delete;
	~container_set()
	{
		for (auto& p : m_pages) delete p.load(std::memory_order_relaxed);
	}

	bool test(std::uint32_t container) const
	{
		if (container > max_container_id) return false;
		auto const* const p = m_pages[container / page_bits].load(std::memory_order_acquire);
		return p != nullptr && ((*p)[word_of(container)].load(std::memory_order_relaxed) & bit_of(container)) != 0;
	}

	// container <= max_container_id
	void set(std::uint32_t container)
	{
		auto& slot = m_pages[container / page_bits];
		auto* p = slot.load(std::memory_order_relaxed);
		if (p == nullptr)
		{
			p = new page{};
			slot.store(p, std::memory_order_release);
		}
		(*p)[word_of(container)].fetch_or(bit_of(container), std::memory_order_relaxed);
	}

	// false when it was not in the set
	bool clear(std::uint32_t container)
	{
		if (!test(container)) return false;
		auto* const p = m_pages[container / page_bits].load(std::memory_order_relaxed);
		(*p)[word_of(container)].fetch_and(~bit_of(container), std::memory_order_relaxed);
		return true;
	}

private:
	static constexpr std::size_t page_bits = 32768;  // 4 KiB
	static constexpr std::size_t page_count = (std::size_t(max_container_id) + 1) / page_bits;
	using page = std::array<std::atomic<std::uint64_t>, page_bits / 64>;

	static std::size_t word_of(std::uint32_t container) { return container % page_bits / 64; }
	static std::uint64_t bit_of(std::uint32_t container) { return std::uint64_t(1) << (container % 64); }

	std::vector<std::atomic<page*>> m_pages;
};

} // namespace xet
