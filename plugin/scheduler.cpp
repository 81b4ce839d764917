#include "plugin/scheduler.hpp"

#include <algorithm>
#include <utility>

namespace ut_xet {

namespace {

constexpr std::uint32_t none = UINT32_MAX;
constexpr std::size_t max_past_versions = 8;
constexpr std::size_t max_returned_looked_at = 64;
constexpr int max_steps_per_pick = 4096;  // keeps one call far below a millisecond

} // namespace

std::uint32_t scheduler::pool::next_pending(std::uint32_t i)
{
	auto const size = std::uint32_t(items.size());
	std::uint32_t root = i;
	while (root < size && next[root] != root) root = next[root];
	while (i < size && next[i] != i)
	{
		auto const step = next[i];
		next[i] = root;
		i = step;
	}
	return root;
}

scheduler::item* scheduler::pool::find(xet::hash32 const& h)
{
	auto const i = index.find(h);
	return i == index.end() ? nullptr : &items[i->second];
}

void scheduler::add_peer(peer_key key, int reqq, bool plain, bool origin)
{
	peer& p = m_peers[key];
	p.reqq = std::clamp(reqq, 1, advertised_reqq);
	p.plain = plain;
	p.origin = origin;
	++m_epoch;
}

void scheduler::remove_peer(peer_key key)
{
	auto const i = m_peers.find(key);
	if (i == m_peers.end()) return;
	count_holder(i->second, -1);
	auto const asked = std::move(i->second.asked);
	m_peers.erase(i);
	for (auto const& [hash, request] : asked)
	{
		for (pool* from : {&m_metadata, &m_content})
		{
			item* const it = from->find(hash);
			if (it != nullptr && it->at == state::asked && it->owner == key)
				give_back(*from, std::uint32_t(it - from->items.data()));
		}
	}
	++m_epoch;
}

void scheduler::count_holder(peer const& p, int change)
{
	if (p.plain || p.origin || p.all || p.root != m_content.root) return;
	for (item& i : m_content.items)
		if (i.what.ordinal < p.bits.size() && p.bits[i.what.ordinal])
			i.partial_holders = std::uint16_t(int(i.partial_holders) + change);
}

void scheduler::peer_has_all(peer_key key, xet::hash32 const& root)
{
	auto const i = m_peers.find(key);
	if (i == m_peers.end()) return;
	peer& p = i->second;
	count_holder(p, -1);
	if (p.all && p.root != root)
	{
		p.past.insert(p.root);
		if (p.past.size() > max_past_versions) p.past.erase(p.past.begin());
	}
	p.root = root;
	p.all = true;
	p.bits.clear();
	p.unmapped.clear();
	p.lacks.clear();
	expect_others(p);
	++m_epoch;
}

// A peer that just offered something gets a moment to show how fast it is.
void scheduler::expect_others(peer& p)
{
	// once: offers alone are no data
	if (!p.origin && !std::exchange(p.offered, true)) m_others_data = std::max(m_others_data, steady::now());
}

void scheduler::peer_has(peer_key key, xet::hash32 const& root, std::uint32_t first, xet::bytes_view bits)
{
	auto const i = m_peers.find(key);
	if (i == m_peers.end()) return;
	if (std::uint64_t(first) + bits.size() * 8 > max_version_chunks) return;
	peer& p = i->second;
	count_holder(p, -1);
	if (p.root != root || p.all)
	{
		p.bits.clear();
		p.unmapped.clear();
		p.lacks.clear();
	}
	p.root = root;
	p.all = false;
	if (p.bits.size() < first + bits.size() * 8) p.bits.resize(first + bits.size() * 8);
	for (std::size_t b = 0; b < bits.size() * 8; ++b)
		if (bits[b / 8] & (0x80 >> (b % 8))) p.bits[first + b] = true;
	count_holder(p, +1);
	expect_others(p);
	++m_epoch;
}

void scheduler::peer_added(peer_key key, std::vector<xet::hash32> const& hashes)
{
	auto const i = m_peers.find(key);
	if (i == m_peers.end() || i->second.all) return;
	peer& p = i->second;
	for (xet::hash32 const& h : hashes)
	{
		p.lacks.erase(h);
		if (p.unmapped.size() < max_unmapped_hashes) p.unmapped.insert(h);
	}
	map_added(p);
	++m_epoch;
}

// Turns hashes into bits once the version they belong to is known.
void scheduler::map_added(peer& p)
{
	if (p.root != m_content.root || p.origin) return;
	for (xet::hash32 const& h : p.unmapped)
	{
		item* const it = m_content.find(h);
		if (it == nullptr) continue;
		if (p.bits.size() <= it->what.ordinal) p.bits.resize(it->what.ordinal + 1);
		if (p.bits[it->what.ordinal]) continue;
		p.bits[it->what.ordinal] = true;
		++it->partial_holders;
	}
	p.unmapped.clear();
}

// The request is answered without the chunk. False when there was none.
bool scheduler::unask(peer_key key, peer& p, xet::hash32 const& hash)
{
	auto const a = p.asked.find(hash);
	if (a == p.asked.end()) return false;
	p.window -= a->second.size;
	p.asked.erase(a);
	p.snubbed = false;
	for (pool* from : {&m_metadata, &m_content})
	{
		item* const it = from->find(hash);
		if (it != nullptr && it->at == state::asked && it->owner == key)
			give_back(*from, std::uint32_t(it - from->items.data()));
	}
	return true;
}

void scheduler::peer_lacks(peer_key key, xet::hash32 const& hash)
{
	auto const i = m_peers.find(key);
	if (i == m_peers.end() || !unask(key, i->second, hash)) return;
	if (i->second.lacks.size() < max_unmapped_hashes) i->second.lacks.insert(hash);
}

void scheduler::peer_refers(peer_key key, xet::hash32 const& hash, steady::time_point now)
{
	auto const i = m_peers.find(key);
	if (i == m_peers.end() || !unask(key, i->second, hash)) return;
	peer& p = i->second;
	p.last_data = now;
	if (!p.origin)
	{
		// only a publisher has a reason to
		p.lacks.insert(hash);
		return;
	}
	// the first time, whoever has it gets a moment to be found
	if (!std::exchange(m_was_referred, true)) m_others_data = std::max(m_others_data, now);
	if (others_keep_up(now) && p.referred.size() < max_unmapped_hashes) p.referred.insert(hash);
}

bool scheduler::has_all(peer_key key, xet::hash32 const& root) const
{
	auto const i = m_peers.find(key);
	return i != m_peers.end() && i->second.all && i->second.root == root;
}

void scheduler::fill(pool& into, xet::hash32 const& root, std::vector<want> wants)
{
	into = {};
	into.root = root;
	into.items.reserve(wants.size());
	for (want& w : wants)
	{
		if (!into.index.try_emplace(w.hash, std::uint32_t(into.items.size())).second) continue;
		into.pending_bytes += w.size;
		into.items.push_back({.what = w, .at = state::pending, .owner = 0, .partial_holders = 0, .since = {}});
	}
	into.next.resize(into.items.size());
	for (std::uint32_t i = 0; i < into.next.size(); ++i) into.next[i] = i;
	into.open = into.pending = into.items.size();

	// what peers were asked for already is on its way
	for (auto& [key, p] : m_peers)
	{
		p.exhausted_at = 0;
		if (&into == &m_content) p.cursor = 0;
		for (auto const& [hash, request] : p.asked)
		{
			item* const it = into.find(hash);
			if (it == nullptr || it->at != state::pending) continue;
			// answered already: the chunk is in the workers' hands
			it->at = request.expired ? state::working : state::asked;
			it->owner = key;
			it->since = request.since;
			auto const n = std::uint32_t(it - into.items.data());
			into.next[n] = n + 1;
			--into.pending;
			into.pending_bytes -= it->what.size;
		}
	}
	++m_epoch;
}

void scheduler::set_metadata(xet::hash32 const& root, xet::chunk_list const& chunks)
{
	std::vector<want> wants;
	wants.reserve(chunks.size());
	for (xet::chunk_ref const& c : chunks) wants.push_back({c.hash, c.size, 0});
	fill(m_metadata, root, std::move(wants));
}

void scheduler::set_content(xet::hash32 const& root, std::vector<want> wants)
{
	m_was_referred = false;
	fill(m_content, root, std::move(wants));
	for (auto& [key, p] : m_peers)
	{
		count_holder(p, +1);
		if (!p.all) map_added(p);
	}
}

bool scheduler::has(peer const& p, pool const& from, item const& i, bool metadata) const
{
	if (p.lacks.contains(i.what.hash) || p.referred.contains(i.what.hash)) return false;
	if (p.plain) return true;
	if (p.root != from.root) return p.past.contains(from.root);
	return metadata || p.all || (i.what.ordinal < p.bits.size() && p.bits[i.what.ordinal]);
}

bool scheduler::others_keep_up(steady::time_point now) const
{
	using namespace std::chrono_literals;
	if (now - m_others_data > 2s) return false;
	// nothing came yet from somebody who only just offered it
	if (m_others_rate == 0) return true;
	return double(m_content.pending_bytes) < m_others_rate * double(common_chunks_patience.count());
}

bool scheduler::complete_others() const
{
	for (auto const& [key, p] : m_peers)
		if (p.all && !p.origin && !p.plain && !p.snubbed && p.root == m_content.root) return true;
	return false;
}

std::uint32_t scheduler::next_for(peer& p, pool& from, bool metadata, steady::time_point now)
{
	if (from.pending == 0) return none;
	bool const only_rare = !metadata && p.origin && others_keep_up(now);
	if (only_rare && complete_others()) return none;
	auto const fits = [&](item const& i) { return !p.asked.contains(i.what.hash) && has(p, from, i, metadata) && !(only_rare && i.partial_holders > 0); };

	// in turns: what does not fit this peer goes to the back, so that everything is looked at in the end
	std::size_t const returned = from.returned.size();
	for (std::size_t looked = 0; looked < returned; ++looked)
	{
		if (looked == max_returned_looked_at)
		{
			m_out_of_time = true;
			break;
		}
		std::uint32_t const r = from.returned.front();
		from.returned.pop_front();
		if (from.items[r].at != state::pending) continue;
		if (fits(from.items[r])) return r;
		from.returned.push_back(r);
	}

	auto const size = std::uint32_t(from.items.size());
	std::uint32_t const start = metadata ? 0 : std::min(p.cursor, size);
	int steps = 0;
	bool wrapped = false;
	for (std::uint32_t i = from.next_pending(start);; i = from.next_pending(i + 1))
	{
		if (i >= size)
		{
			if (wrapped || start == 0) return none;
			wrapped = true;
			i = from.next_pending(0);
			if (i >= size) return none;
		}
		if (wrapped && i >= start) return none;
		if (fits(from.items[i]))
		{
			if (!metadata) p.cursor = i + 1;
			return i;
		}
		if (++steps > max_steps_per_pick)
		{
			// come back later from here
			m_out_of_time = true;
			if (!metadata) p.cursor = i;
			return none;
		}
	}
}

std::uint32_t scheduler::endgame_for(peer const& p, pool& from, bool metadata, steady::time_point now) const
{
	if (from.pending != 0 || from.open == 0 || from.open > endgame_items) return none;
	for (std::uint32_t i = 0; i < from.items.size(); ++i)
	{
		item const& it = from.items[i];
		if (it.at == state::asked && now - it.since > endgame_after && !p.asked.contains(it.what.hash)
			&& has(p, from, it, metadata))
			return i;
	}
	return none;
}

void scheduler::ask(peer_key key, peer& p, pool& from, std::uint32_t i, steady::time_point now)
{
	item& it = from.items[i];
	if (it.at == state::pending)
	{
		--from.pending;
		from.pending_bytes -= it.what.size;
		from.next[i] = i + 1;
	}
	it.at = state::asked;
	it.owner = key;
	it.since = now;
	p.asked[it.what.hash] = {it.what.size, now};
	p.window += it.what.size;
	if (p.asked.size() == 1) p.last_data = now;
}

std::vector<xet::hash32> scheduler::pick(peer_key key, steady::time_point now)
{
	std::vector<xet::hash32> out;
	auto const found = m_peers.find(key);
	if (found == m_peers.end()) return out;
	peer& p = found->second;
	// a silent peer keeps one request, to show that it is back
	int const most = p.snubbed ? 1 : p.reqq;
	while (int(p.asked.size()) < most && p.window < request_window_bytes && p.exhausted_at != m_epoch)
	{
		bool metadata = true;
		m_out_of_time = false;
		std::uint32_t i = next_for(p, m_metadata, true, now);
		if (i == none) i = endgame_for(p, m_metadata, true, now);
		if (i == none)
		{
			metadata = false;
			i = next_for(p, m_content, false, now);
			if (i == none) i = endgame_for(p, m_content, false, now);
		}
		if (i == none)
		{
			if (!m_out_of_time) p.exhausted_at = m_epoch;
			break;
		}
		pool& from = metadata ? m_metadata : m_content;
		out.push_back(from.items[i].what.hash);
		ask(key, p, from, i, now);
	}
	return out;
}

scheduler::verdict scheduler::arrived(peer_key key, xet::hash32 const& hash, std::uint32_t size, steady::time_point now)
{
	auto const found = m_peers.find(key);
	if (found == m_peers.end()) return verdict::unasked;
	peer& p = found->second;
	auto const a = p.asked.find(hash);
	if (a == p.asked.end()) return verdict::unasked;
	p.last_data = now;
	p.snubbed = false;

	if (!p.origin && !p.plain)
	{
		m_others_data = now;
		m_rate_bytes += size;
		std::chrono::duration<double> const span = now - m_rate_since;
		if (span.count() > 0.5)
		{
			m_others_rate = span.count() > 5 ? 0 : 0.5 * m_others_rate + 0.5 * double(m_rate_bytes) / span.count();
			m_rate_bytes = 0;
			m_rate_since = now;
		}
	}

	for (pool* from : {&m_metadata, &m_content})
	{
		item* const it = from->find(hash);
		if (it == nullptr || (it->at != state::asked && it->at != state::pending)) continue;
		if (it->at == state::pending)
		{
			// came after all, though it had been taken back
			--from->pending;
			from->pending_bytes -= it->what.size;
			auto const n = std::uint32_t(it - from->items.data());
			from->next[n] = n + 1;
		}
		it->at = state::working;
		it->owner = key;
		a->second.expired = true;  // the request is answered; the window is given back when the chunk is stored
		return verdict::wanted;
	}
	p.window -= a->second.size;
	p.asked.erase(a);
	return verdict::duplicate;
}

void scheduler::release(xet::hash32 const& hash, state to)
{
	for (auto& [key, p] : m_peers)
	{
		auto const a = p.asked.find(hash);
		if (a == p.asked.end() || !a->second.expired) continue;
		p.window -= a->second.size;
		p.asked.erase(a);
	}
	for (pool* from : {&m_metadata, &m_content})
	{
		item* const it = from->find(hash);
		if (it == nullptr || it->at == state::done) continue;
		if (it->at == state::pending)
		{
			--from->pending;
			from->pending_bytes -= it->what.size;
			auto const n = std::uint32_t(it - from->items.data());
			from->next[n] = n + 1;
		}
		if (to == state::done)
		{
			it->at = state::done;
			--from->open;
		}
		else if (it->at == state::working) give_back(*from, std::uint32_t(it - from->items.data()));
	}
}

void scheduler::done(xet::hash32 const& hash)
{
	release(hash, state::done);
}

void scheduler::failed(xet::hash32 const& hash)
{
	release(hash, state::pending);
	++m_epoch;
}

void scheduler::give_back(pool& from, std::uint32_t i)
{
	item& it = from.items[i];
	it.at = state::pending;
	++from.pending;
	from.pending_bytes += it.what.size;
	from.returned.push_back(i);
	++m_epoch;
}

bool scheduler::expire(steady::time_point now)
{
	bool any = false;
	for (auto& [key, p] : m_peers)
	{
		if (p.asked.empty() || now - p.last_data < snub_after) continue;
		for (auto& [hash, request] : p.asked)
		{
			if (request.expired) continue;
			for (pool* from : {&m_metadata, &m_content})
			{
				item* const it = from->find(hash);
				if (it == nullptr || it->at != state::asked || it->owner != key) continue;
				give_back(*from, std::uint32_t(it - from->items.data()));
				any = true;
			}
		}
		p.snubbed = true;
		p.last_data = now;
	}
	// what was held back from the publisher may be its now
	if (!others_keep_up(now))
		for (auto& [key, p] : m_peers) p.referred.clear();
	++m_epoch;
	return any;
}

std::size_t scheduler::outstanding(peer_key key) const
{
	auto const i = m_peers.find(key);
	return i == m_peers.end() ? 0 : i->second.asked.size();
}

} // namespace ut_xet
