#pragma once
// Chunks that came from peers and wait to be verified and stored. They are copied out of libtorrent's buffer side by side,
// so that whoever stores them hashes many at once and writes neighbours with one call.
//
// Thread rule: put on the network thread, take on workers.

#include "plugin/slab.hpp"
#include "xet/bytes.hpp"

#include <deque>

namespace ut_xet {

class inbox
{
public:
	struct arrival
	{
		xet::hash32 hash;
		std::uint32_t peer = 0;
		xet::bytes_view data;  // in the batch's slab
	};
	struct batch
	{
		std::shared_ptr<slab> memory;
		std::vector<arrival> chunks;
	};

	explicit inbox(slab_pool& pool) : m_pool(pool) {}

	// True when a worker has to be called, who then takes until there is nothing. What waits is bounded by what was asked for.
	bool put(xet::hash32 const& hash, xet::bytes_view data, std::uint32_t peer)
	{
		std::lock_guard const lock(m_mutex);
		if (m_waiting.empty() || m_waiting.back().memory->room() < data.size())
			m_waiting.push_back({m_pool.take(data.size()), {}});
		auto& b = m_waiting.back();
		auto* const to = b.memory->end();
		std::copy(data.begin(), data.end(), to);
		b.memory->used += data.size();
		b.chunks.push_back({hash, peer, {to, data.size()}});
		// a second one when the first does not keep up
		std::size_t const useful = m_waiting.size() > 1 ? max_workers : 1;
		if (m_workers >= useful) return false;
		++m_workers;
		return true;
	}

	// The oldest. Nothing: the worker's turn is over.
	std::optional<batch> take()
	{
		std::lock_guard const lock(m_mutex);
		if (m_waiting.empty())
		{
			--m_workers;
			return std::nullopt;
		}
		batch b = std::move(m_waiting.front());
		m_waiting.pop_front();
		return b;
	}

private:
	static constexpr std::size_t max_workers = 2;

	slab_pool& m_pool;
	std::mutex m_mutex;
	std::deque<batch> m_waiting;
	std::size_t m_workers = 0;
};

} // namespace ut_xet
