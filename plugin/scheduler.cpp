#include "plugin/scheduler.hpp"

#include <algorithm>
#include <utility>

namespace ut_xet {

namespace {

constexpr std::uint32_t none = UINT32_MAX;
constexpr std::size_t max_past_versions = 8;
constexpr std::size_t max_returned_looked_at = 64;
constexpr int max_steps_per_pick = 4096;  // keeps one call far below a millisecond
constexpr auto measure_for = std::chrono::milliseconds(20);

} // namespace

struct scheduler::pool
{
	xet::hash32 root;
	std::vector<item> items;
	std::unordered_map<xet::hash32, std::uint32_t> index;
	std::vector<std::uint32_t> next;        // i → first index ≥ i that may be pending (path compressed)
	std::deque<std::uint32_t> returned;     // pending again after having been asked for
	std::size_t open = 0;                   // items not done
	std::size_t pending = 0;
	std::int64_t pending_bytes = 0;

	std::uint32_t next_pending(std::uint32_t i);
	item* find(xet::hash32 const& h);
};

scheduler::scheduler() : m_metadata(prepare({}, {})), m_content(prepare({}, {})) {}
scheduler::~scheduler() = default;

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
	auto const asked = std::move(i->second.asked);
	m_peers.erase(i);
	for (auto const& [hash, request] : asked)
	{
		for (pool* from : {m_metadata.get(), m_content.get()})
		{
			item* const it = from->find(hash);
			if (it != nullptr && it->at == state::asked && it->owner == key)
				give_back(*from, std::uint32_t(it - from->items.data()));
		}
	}
	++m_epoch;
}

void scheduler::peer::set_bit(std::uint32_t ordinal)
{
	if (bits.size() <= ordinal / 8) bits.resize(ordinal / 8 + 1);
	bits[ordinal / 8] |= std::uint8_t(0x80 >> (ordinal % 8));
}

// Has some chunks of this version, and is not the publisher.
bool scheduler::is_partial(peer const& p) const
{
	return !p.plain && !p.origin && !p.all && p.root == m_content->root;
}

bool scheduler::partly_held(std::uint32_t ordinal)
{
	m_steps += int(m_peers.size() / 8);
	return std::any_of(m_peers.begin(), m_peers.end(), [&](auto const& entry) {
		return is_partial(entry.second) && entry.second.has_bit(ordinal);
	});
}

bool scheduler::is_metadata(xet::hash32 const& hash) const
{
	return m_metadata->index.contains(hash);
}

bool scheduler::idle() const
{
	return m_metadata->open == 0 && m_content->open == 0;
}

std::size_t scheduler::content_open() const
{
	return m_content->open;
}

void scheduler::peer_has_all(peer_key key, xet::hash32 const& root)
{
	auto const i = m_peers.find(key);
	if (i == m_peers.end()) return;
	peer& p = i->second;
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
	if (p.root != root || p.all)
	{
		p.bits.clear();
		p.unmapped.clear();
		p.lacks.clear();
	}
	p.root = root;
	p.all = false;
	std::size_t const from = first / 8;
	int const shift = int(first % 8);
	if (p.bits.size() < from + bits.size() + 1) p.bits.resize(from + bits.size() + 1);
	for (std::size_t b = 0; b < bits.size(); ++b)
	{
		p.bits[from + b] |= std::uint8_t(bits[b] >> shift);
		if (shift != 0) p.bits[from + b + 1] |= std::uint8_t(bits[b] << (8 - shift));
	}
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
	if (p.root != m_content->root || p.origin) return;
	for (xet::hash32 const& h : p.unmapped)
	{
		if (item* const it = m_content->find(h)) p.set_bit(it->what.ordinal);
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
	for (pool* from : {m_metadata.get(), m_content.get()})
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

std::shared_ptr<scheduler::pool> scheduler::prepare(xet::hash32 const& root, std::vector<want> wants)
{
	auto out = std::make_shared<pool>();
	out->root = root;
	out->items.reserve(wants.size());
	out->index.reserve(wants.size());
	for (want& w : wants)
	{
		if (!out->index.try_emplace(w.hash, std::uint32_t(out->items.size())).second) continue;
		out->pending_bytes += w.size;
		out->items.push_back({.what = w, .at = state::pending, .owner = 0, .since = {}});
	}
	out->next.resize(out->items.size());
	for (std::uint32_t i = 0; i < out->next.size(); ++i) out->next[i] = i;
	out->open = out->pending = out->items.size();
	return out;
}

// What peers were asked for already is on its way.
void scheduler::refill(pool& into)
{
	for (auto& [key, p] : m_peers)
	{
		p.exhausted_at = 0;
		if (&into == m_content.get()) p.cursor = 0;
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

std::shared_ptr<scheduler::pool> scheduler::set_metadata(std::shared_ptr<pool> wanted)
{
	m_metadata.swap(wanted);
	refill(*m_metadata);
	return wanted;
}

std::shared_ptr<scheduler::pool> scheduler::set_content(std::shared_ptr<pool> wanted)
{
	m_was_referred = false;
	m_content.swap(wanted);
	refill(*m_content);
	for (auto& [key, p] : m_peers)
		if (!p.all) map_added(p);
	return wanted;
}

void scheduler::set_metadata(xet::hash32 const& root, xet::chunk_list const& chunks)
{
	std::vector<want> wants;
	wants.reserve(chunks.size());
	for (xet::chunk_ref const& c : chunks) wants.push_back({c.hash, c.size, 0});
	(void)set_metadata(prepare(root, std::move(wants)));
}

void scheduler::set_content(xet::hash32 const& root, std::vector<want> wants)
{
	(void)set_content(prepare(root, std::move(wants)));
}

bool scheduler::has(peer const& p, pool const& from, item const& i, bool metadata) const
{
	if (p.lacks.contains(i.what.hash) || p.referred.contains(i.what.hash)) return false;
	if (p.plain) return true;
	if (p.root != from.root) return p.past.contains(from.root);
	return metadata || p.all || p.has_bit(i.what.ordinal);
}

bool scheduler::others_keep_up(steady::time_point now) const
{
	using namespace std::chrono_literals;
	if (now - m_others_data > 2s) return false;
	// nothing came yet from somebody who only just offered it
	if (m_others_rate == 0) return true;
	return double(m_content->pending_bytes) < m_others_rate * double(common_chunks_patience.count());
}

bool scheduler::complete_others() const
{
	for (auto const& [key, p] : m_peers)
		if (p.all && !p.origin && !p.plain && !p.snubbed && p.root == m_content->root) return true;
	return false;
}

std::uint32_t scheduler::next_for(peer& p, pool& from, bool metadata, steady::time_point now)
{
	if (from.pending == 0) return none;
	bool const only_rare = !metadata && p.origin && others_keep_up(now);
	if (only_rare && complete_others()) return none;
	auto const fits = [&](item const& i) { return !p.asked.contains(i.what.hash) && has(p, from, i, metadata) && !(only_rare && partly_held(i.what.ordinal)); };

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
		if (++m_steps > max_steps_per_pick)
		{
			// come back later from here
			m_out_of_time = true;
			if (!metadata) p.cursor = i;
			return none;
		}
	}
}

std::uint32_t scheduler::endgame_for(peer const& p, pool& from, bool metadata, steady::time_point now)
{
	if (from.pending != 0 || from.open == 0 || from.open > endgame_items) return none;
	// what is still open was asked of somebody
	for (auto const& [key, other] : m_peers)
		for (auto const& [hash, request] : other.asked)
		{
			++m_steps;
			item const* const it = from.find(hash);
			if (it != nullptr && it->at == state::asked && now - it->since > endgame_after && !p.asked.contains(hash)
				&& has(p, from, *it, metadata))
				return std::uint32_t(it - from.items.data());
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
	if (p.asked.size() > 1) return;
	p.last_data = now;
	p.measured_bytes = 0;
	p.measured_since = now;
}

std::vector<xet::hash32> scheduler::pick(peer_key key, steady::time_point now)
{
	std::vector<xet::hash32> out;
	auto const found = m_peers.find(key);
	if (found == m_peers.end()) return out;
	peer& p = found->second;
	// a silent peer keeps one request, to show that it is back
	int const most = p.snubbed ? 1 : p.reqq;
	m_steps = 0;
	while (int(p.asked.size()) < most && p.window < p.window_limit && p.exhausted_at != m_epoch && m_steps <= max_steps_per_pick)
	{
		bool metadata = true;
		m_out_of_time = false;
		std::uint32_t i = next_for(p, *m_metadata, true, now);
		if (i == none) i = endgame_for(p, *m_metadata, true, now);
		if (i == none)
		{
			metadata = false;
			i = next_for(p, *m_content, false, now);
			if (i == none) i = endgame_for(p, *m_content, false, now);
		}
		if (i == none)
		{
			if (!m_out_of_time) p.exhausted_at = m_epoch;
			break;
		}
		pool& from = metadata ? *m_metadata : *m_content;
		out.push_back(from.items[i].what.hash);
		ask(key, p, from, i, now);
	}
	return out;
}

// How much is asked of a peer at once follows from how fast it answers.
void scheduler::measure(peer& p, steady::time_point asked, std::uint32_t size, steady::time_point now)
{
	// of the whole connection: later answers wait behind each other
	p.quickest = std::min(p.quickest, now - asked);
	p.measured_bytes += size;
	std::chrono::duration<double> const span = now - p.measured_since;
	if (span < measure_for) return;
	double const rate = double(p.measured_bytes) / span.count();
	p.measured_bytes = 0;
	p.measured_since = now;
	// four times what is in flight at least: so it grows until the link is full
	auto const far = std::int64_t(4 * rate * std::chrono::duration<double>(p.quickest).count());
	auto const near = std::min(std::int64_t(rate / 4), near_window_bytes);
	p.window_limit = std::clamp(std::max(far, near), min_window_bytes, max_window_bytes);
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
	measure(p, a->second.since, size, now);

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

	for (pool* from : {m_metadata.get(), m_content.get()})
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
	for (pool* from : {m_metadata.get(), m_content.get()})
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
			for (pool* from : {m_metadata.get(), m_content.get()})
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
