#include "xet/store_writer.hpp"

namespace xet {

namespace {

constexpr std::size_t max_sent = 2;

} // namespace

store_writer::store_writer(chunk_store& store, hash_kind kind) : m_store(store), m_kind(kind)
{
	m_filling = std::make_unique<xorb_builder>(kind, store.options().xorb_payload_bytes);
}

store_writer::~store_writer()
{
	for (sent& s : m_sent)
	{
		auto const last = s.writing.get();
		if (last) --(*last)->pins;
	}
	for (auto const& [id, c] : m_pinned) --c->pins;
}

result<> store_writer::broken(error e)
{
	m_broken = e;
	return tl::unexpected(std::move(e));
}

result<bool> store_writer::keep(hash32 const& hash)
{
	if (m_broken) return tl::unexpected(*m_broken);
	if (m_here.count(hash) != 0) return true;
	chunk_store::container_ptr c;
	auto const where = m_store.pin(m_kind, hash, c);
	if (!where) return tl::unexpected(broken(where.error()).error());
	if (!*where) return false;
	if (!m_pinned.emplace(c->row.id, c).second) --c->pins;
	m_refs[(*where)->container].set((*where)->ordinal);
	return true;
}

result<> store_writer::put(hash32 const& hash, bytes_view data)
{
	auto const known = keep(hash);
	if (!known) return tl::unexpected(known.error());
	if (*known)
	{
		m_known_bytes += data.size();
		return {};
	}
	return add(hash, data);
}

result<> store_writer::add(hash32 const& hash, bytes_view data)
{
	if (!m_filling->fits(data.size()))
		if (auto const sent = send(); !sent) return sent;
	m_filling->add(hash, data);
	m_here.insert(hash);
	m_new_bytes += data.size();
	return {};
}

result<> store_writer::send()
{
	if (m_filling->empty()) return {};
	std::size_t const in_flight = m_store.options().overlap ? max_sent : 1;
	while (m_sent.size() >= in_flight)
		if (auto const done = collect(); !done) return done;
	auto builder = std::exchange(m_filling, std::move(m_spare));
	if (!m_filling) m_filling = std::make_unique<xorb_builder>(m_kind, m_store.options().xorb_payload_bytes);
	auto const how = m_store.options().overlap ? std::launch::async : std::launch::deferred;
	auto writing = std::async(how, [this, b = builder.get()] { return m_store.add_xorb(m_kind, *b); });
	m_sent.push_back({std::move(builder), std::move(writing)});
	return m_store.options().overlap ? result<>() : collect();
}

result<> store_writer::collect()
{
	if (m_broken) return tl::unexpected(*m_broken);
	sent oldest = std::move(m_sent.front());
	m_sent.pop_front();
	auto const xorb = oldest.writing.get();
	if (!xorb) return broken(xorb.error());
	auto const& c = *xorb;
	if (!m_pinned.emplace(c->row.id, c).second) --c->pins;
	m_refs[c->row.id] |= chunk_bits::all(c->row.chunks);
	for (std::size_t i = 0; i < oldest.builder->count(); ++i) m_here.erase(oldest.builder->hash_of(i));
	oldest.builder->clear();
	m_spare = std::move(oldest.builder);
	return {};
}

result<> store_writer::flush()
{
	auto done = m_broken ? result<>(tl::unexpected(*m_broken)) : send();
	while (done && !m_sent.empty()) done = collect();
	return done;
}

std::vector<hash32> store_writer::xorbs() const
{
	std::vector<hash32> out;
	for (auto const& [id, c] : m_pinned) out.push_back(c->row.name);
	return out;
}

result<> store_writer::commit(std::string const& holder, std::uint64_t logical_bytes, bool replace)
{
	if (auto const done = flush(); !done) return done;
	std::lock_guard const lock(m_store.m_index_mutex);
	auto const held = m_store.hold_refs(holder, logical_bytes, m_refs, replace);
	return held ? held : broken(held.error());
}

} // namespace xet
