#include "xet/wire.hpp"

#include "xet/limits.hpp"

#include <algorithm>

namespace xet::wire {

namespace {

// Reads a message's fields in order; after a field that is not there every further one fails too.
class reader
{
public:
	explicit reader(bytes_view in) : m_in(in) {}

	template <class T>
	T number()
	{
		auto const b = take(sizeof(T));
		return b.empty() ? T(0) : read_be<T>(b.data());
	}

	template <std::size_t N>
	std::array<std::uint8_t, N> array()
	{
		std::array<std::uint8_t, N> out{};
		auto const b = take(N);
		if (!b.empty()) std::copy(b.begin(), b.end(), out.begin());
		return out;
	}

	hash32 hash() { return {array<32>()}; }

	// a NUL-terminated folder id
	std::string id()
	{
		auto const end = std::find(m_in.begin(), m_in.end(), 0);
		auto const length = std::size_t(end - m_in.begin());
		if (end == m_in.end() || length == 0 || length > max_folder_id_bytes)
		{
			m_ok = false;
			return {};
		}
		std::string out(as_text(m_in.first(length)));
		m_in = m_in.subspan(length + 1);
		return out;
	}

	bytes_view rest()
	{
		auto const out = m_in;
		m_in = {};
		return out;
	}

	std::size_t left() const { return m_in.size(); }
	bool complete() const { return m_ok && m_in.empty(); }
	void refuse() { m_ok = false; }

private:
	bytes_view take(std::size_t n)
	{
		if (m_in.size() < n)
		{
			m_ok = false;
			m_in = {};
			return {};
		}
		auto const out = m_in.first(n);
		m_in = m_in.subspan(n);
		return out;
	}

	bytes_view m_in;
	bool m_ok = true;
};

bytes begin(type t)
{
	return {std::uint8_t(t)};
}

void append_id(bytes& out, std::string const& id)
{
	append(out, as_bytes(id));
	out.push_back(0);
}

bytes with_id(type t, std::string const& id)
{
	auto out = begin(t);
	append_id(out, id);
	return out;
}

chunk_request read_chunk_request(reader& in)
{
	chunk_request r;
	switch (in.left())
	{
		case 32: r.form = dialect::table; break;
		case 36: r.form = dialect::ccbt; break;
		case 44: r.form = dialect::zest; break;
		default: in.refuse(); return r;
	}
	if (r.form != dialect::table) r.request_id = in.number<std::uint32_t>();
	r.hash = in.hash();
	if (r.form == dialect::zest)
	{
		r.range_start = in.number<std::uint32_t>();
		r.range_end = in.number<std::uint32_t>();
	}
	return r;
}

chunk_response read_chunk_response(reader& in)
{
	chunk_response r;
	r.hash = in.hash();
	auto const length = in.number<std::uint32_t>();
	if (length != in.left() || length > max_wire_chunk_bytes) in.refuse();
	r.data = in.rest();
	return r;
}

chunk_error read_chunk_error(reader& in)
{
	chunk_error r;
	r.hash = in.hash();
	r.code = in.number<std::uint32_t>();
	auto const text = in.rest();
	r.text = as_text(text.first(std::min(text.size(), max_error_text_bytes)));
	return r;
}

metadata_response read_metadata_response(reader& in)
{
	metadata_response r;
	r.id = in.id();
	r.piece = in.number<std::uint32_t>();
	r.total = in.number<std::uint32_t>();
	r.piece_size = in.number<std::uint32_t>();
	r.data = in.rest();
	if (r.piece >= r.total || r.data.size() > r.piece_size) in.refuse();
	return r;
}

bloom_response read_bloom_response(reader& in)
{
	auto const size = in.number<std::uint32_t>();
	bloom_response r;
	r.hash_count = in.number<std::uint32_t>();
	if (size != in.left()) in.refuse();
	r.bits = in.rest();
	return r;
}

std::vector<hash32> read_hashes(reader& in)
{
	std::vector<hash32> out;
	if (in.left() % 32 != 0) in.refuse();
	out.reserve(in.left() / 32);
	while (in.left() >= 32) out.push_back(in.hash());
	return out;
}

folder_head read_head(reader& in)
{
	folder_head h;
	h.id = in.id();
	h.author = in.array<32>();
	h.seq = in.number<std::uint64_t>();
	h.timestamp = in.number<std::uint64_t>();
	h.ref = in.array<40>();
	h.tree.data_bytes = in.number<std::uint64_t>();
	h.tree.hash = in.hash();
	h.tree.size = in.number<std::uint32_t>();
	h.tree.levels = in.number<std::uint8_t>();
	auto const hash = in.number<std::uint8_t>();
	if (hash > std::uint8_t(hash_kind::hf)) in.refuse();
	h.hash = hash_kind(hash);
	h.signature = in.array<64>();
	return h;
}

folder_have read_have(reader& in)
{
	folder_have h;
	h.id = in.id();
	h.root = in.hash();
	auto const kind = in.number<std::uint8_t>();
	h.all = kind == 1;
	if (kind > 1) in.refuse();
	if (!h.all)
	{
		h.first = in.number<std::uint32_t>();
		h.bits = in.rest();
	}
	return h;
}

folder_peers read_peers(reader& in)
{
	folder_peers p;
	p.id = in.id();
	while (in.left() > 0)
	{
		auto const family = in.number<std::uint8_t>();
		endpoint e;
		if (family == 4)
		{
			auto const a = in.array<4>();
			e.address.assign(a.begin(), a.end());
		}
		else if (family == 6)
		{
			auto const a = in.array<16>();
			e.address.assign(a.begin(), a.end());
		}
		else
		{
			in.refuse();
			return p;
		}
		e.port = in.number<std::uint16_t>();
		p.peers.push_back(std::move(e));
	}
	return p;
}

template <class M, class Read>
result<message> whole(reader& in, Read read)
{
	M m = read(in);
	if (!in.complete()) return fail(errc::invalid, "wrong length or content");
	return message(std::move(m));
}

result<message> decode_body(type t, reader& in)
{
	switch (t)
	{
		case type::chunk_request: return whole<chunk_request>(in, read_chunk_request);
		case type::chunk_response: return whole<chunk_response>(in, read_chunk_response);
		case type::chunk_not_found: return whole<chunk_not_found>(in, [](reader& r) { return chunk_not_found{r.hash()}; });
		case type::chunk_error: return whole<chunk_error>(in, read_chunk_error);
		case type::version_request: return whole<version_request>(in, [](reader& r) { return version_request{r.id()}; });
		case type::version_response:
			return whole<version_response>(in, [](reader& r) { return version_response{r.id(), r.array<40>()}; });
		case type::update_notify:
			return whole<update_notify>(
				in, [](reader& r) { return update_notify{r.id(), r.array<40>(), r.number<std::uint64_t>()}; });
		case type::mode_request: return whole<mode_request>(in, [](reader& r) { return mode_request{r.id()}; });
		case type::mode_response:
			return whole<mode_response>(in, [](reader& r) { return mode_response{r.id(), r.number<std::uint8_t>()}; });
		case type::metadata_request:
			return whole<metadata_request>(
				in, [](reader& r) { return metadata_request{r.id(), r.number<std::uint32_t>()}; });
		case type::metadata_response: return whole<metadata_response>(in, read_metadata_response);
		case type::metadata_not_found:
			return whole<metadata_not_found>(
				in, [](reader& r) { return metadata_not_found{r.id(), r.number<std::uint32_t>()}; });
		case type::bloom_request:
			return whole<bloom_request>(in, [](reader& r) { return bloom_request{r.number<std::uint32_t>()}; });
		case type::bloom_response: return whole<bloom_response>(in, read_bloom_response);
		case type::chunks_added: return whole<chunks_added>(in, [](reader& r) { return chunks_added{read_hashes(r)}; });
		case type::chunks_dropped:
			return whole<chunks_dropped>(in, [](reader& r) { return chunks_dropped{read_hashes(r)}; });
		case type::folder_head: return whole<folder_head>(in, read_head);
		case type::folder_have: return whole<folder_have>(in, read_have);
		case type::folder_peers: return whole<folder_peers>(in, read_peers);
	}
	return fail(errc::unsupported, "unknown type");
}

void append_hashes(bytes& out, std::vector<hash32> const& hashes)
{
	for (hash32 const& h : hashes) append(out, h.view());
}

struct encoder
{
	bytes operator()(chunk_request const& m) const
	{
		auto out = begin(type::chunk_request);
		if (m.form != dialect::table) append_be(out, m.request_id);
		append(out, m.hash.view());
		if (m.form == dialect::zest)
		{
			append_be(out, m.range_start);
			append_be(out, m.range_end);
		}
		return out;
	}
	bytes operator()(chunk_response const& m) const
	{
		auto out = response_head(chunk_request{.hash = m.hash}, std::uint32_t(m.data.size()));
		append(out, m.data);
		return out;
	}
	bytes operator()(chunk_not_found const& m) const { return not_found(chunk_request{.hash = m.hash}); }
	bytes operator()(chunk_error const& m) const { return error_answer(chunk_request{.hash = m.hash}, m.code, m.text); }
	bytes operator()(version_request const& m) const { return with_id(type::version_request, m.id); }
	bytes operator()(version_response const& m) const
	{
		auto out = with_id(type::version_response, m.id);
		append(out, m.ref);
		return out;
	}
	bytes operator()(update_notify const& m) const
	{
		auto out = with_id(type::update_notify, m.id);
		append(out, m.ref);
		append_be(out, m.timestamp);
		return out;
	}
	bytes operator()(mode_request const& m) const { return with_id(type::mode_request, m.id); }
	bytes operator()(mode_response const& m) const
	{
		auto out = with_id(type::mode_response, m.id);
		out.push_back(m.mode);
		return out;
	}
	bytes operator()(metadata_request const& m) const
	{
		auto out = with_id(type::metadata_request, m.id);
		append_be(out, m.piece);
		return out;
	}
	bytes operator()(metadata_response const& m) const
	{
		auto out = with_id(type::metadata_response, m.id);
		append_be(out, m.piece);
		append_be(out, m.total);
		append_be(out, m.piece_size);
		append(out, m.data);
		return out;
	}
	bytes operator()(metadata_not_found const& m) const
	{
		auto out = with_id(type::metadata_not_found, m.id);
		append_be(out, m.piece);
		return out;
	}
	bytes operator()(bloom_request const& m) const
	{
		auto out = begin(type::bloom_request);
		append_be(out, m.size);
		return out;
	}
	bytes operator()(bloom_response const& m) const
	{
		auto out = begin(type::bloom_response);
		append_be(out, std::uint32_t(m.bits.size()));
		append_be(out, m.hash_count);
		append(out, m.bits);
		return out;
	}
	bytes operator()(chunks_added const& m) const
	{
		auto out = begin(type::chunks_added);
		append_hashes(out, m.hashes);
		return out;
	}
	bytes operator()(chunks_dropped const& m) const
	{
		auto out = begin(type::chunks_dropped);
		append_hashes(out, m.hashes);
		return out;
	}
	bytes operator()(folder_head const& m) const
	{
		auto out = begin(type::folder_head);
		append(out, m.signed_part());
		append(out, m.signature);
		return out;
	}
	bytes operator()(folder_have const& m) const
	{
		auto out = with_id(type::folder_have, m.id);
		append(out, m.root.view());
		out.push_back(m.all ? 1 : 0);
		if (m.all) return out;
		append_be(out, m.first);
		append(out, m.bits);
		return out;
	}
	bytes operator()(folder_peers const& m) const
	{
		auto out = with_id(type::folder_peers, m.id);
		for (endpoint const& e : m.peers)
		{
			out.push_back(e.address.size() == 4 ? 4 : 6);
			append(out, e.address);
			append_be(out, e.port);
		}
		return out;
	}
};

} // namespace

ref40 to_ref(hash32 const& h)
{
	ref40 out{};
	std::copy(h.raw.begin(), h.raw.end(), out.begin());
	return out;
}

std::optional<ref40> to_ref(std::string_view git)
{
	auto const raw = from_hex(git);
	if (!raw) return std::nullopt;
	if (raw->size() == 32) return to_ref(hash32::from(*raw));
	if (raw->size() != 20) return std::nullopt;
	ref40 out{};
	std::transform(git.begin(), git.end(), out.begin(), [](char c) { return std::uint8_t(c >= 'A' && c <= 'F' ? c + 32 : c); });
	return out;
}

std::string ref_text(ref40 const& r)
{
	// hexadecimal text has no byte below '0', so eight zero bytes at the end are those of a raw hash
	bool const raw = std::all_of(r.begin() + 32, r.end(), [](std::uint8_t b) { return b == 0; });
	if (raw) return to_hex(bytes_view(r).first(32));
	return std::string(as_text(r));
}

bytes folder_head::signed_part() const
{
	bytes out;
	append_id(out, id);
	append(out, author);
	append_be(out, seq);
	append_be(out, timestamp);
	append(out, ref);
	append_be(out, tree.data_bytes);
	append(out, tree.hash.view());
	append_be(out, tree.size);
	append_be(out, tree.levels);
	out.push_back(std::uint8_t(hash));
	return out;
}

result<message> decode(bytes_view body)
{
	if (body.empty()) return fail(errc::invalid, "empty message");
	auto const t = type(body[0]);
	reader in(body.subspan(1));
	auto m = decode_body(t, in);
	if (!m && m.error().code == errc::invalid)
		return fail(errc::invalid, "message type 0x", to_hex(body.first(1)), " of ", body.size() - 1, " bytes: ", m.error().message);
	return m;
}

bytes encode(message const& m)
{
	return std::visit(encoder{}, m);
}

bytes response_head(chunk_request const& asked, std::uint32_t data_bytes)
{
	auto out = begin(type::chunk_response);
	switch (asked.form)
	{
		case dialect::table: append(out, asked.hash.view()); break;
		case dialect::ccbt: append_be(out, asked.request_id); break;
		case dialect::zest:
			append_be(out, asked.request_id);
			append_be(out, asked.range_start);
			break;
	}
	append_be(out, data_bytes);
	return out;
}

bytes not_found(chunk_request const& asked)
{
	auto out = begin(type::chunk_not_found);
	if (asked.form != dialect::table) append_be(out, asked.request_id);
	if (asked.form != dialect::ccbt) append(out, asked.hash.view());
	return out;
}

bytes error_answer(chunk_request const& asked, std::uint32_t code, std::string_view text)
{
	auto out = begin(type::chunk_error);
	if (asked.form == dialect::table) append(out, asked.hash.view());
	else append_be(out, asked.request_id);
	append_be(out, code);
	if (asked.form != dialect::ccbt) append(out, as_bytes(text.substr(0, max_error_text_bytes)));
	return out;
}

} // namespace xet::wire
