#include "xet/blake3_batch.hpp"

#include <stdexcept>

#if UT_XET_BLAKE3_BATCH

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

// The header is C, and what it includes must not end up within extern "C".
#include <cassert>
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif
#include <blake3.h>
extern "C"
{
#include <blake3_impl.h>
}

namespace xet {

namespace {

constexpr std::size_t node_bytes = BLAKE3_OUT_LEN;
constexpr std::size_t leaf_bytes = BLAKE3_CHUNK_LEN;
constexpr std::size_t block_bytes = BLAKE3_BLOCK_LEN;
constexpr std::size_t blocks_per_leaf = leaf_bytes / block_bytes;
constexpr std::size_t max_lanes = MAX_SIMD_DEGREE;
static_assert(sizeof(hash32) == node_bytes);

// Messages taken at a time. More would fill the lanes a little better, and lose the cache.
constexpr std::size_t max_batch = 64;
constexpr std::size_t max_batch_bytes = 1024 * 1024;

// What hash_many is given: inputs of one kind, and where each result goes.
class lane_queue
{
public:
	lane_queue(std::uint32_t const* key, std::size_t blocks, std::uint8_t flags, std::uint8_t first, std::uint8_t last)
		: m_key(key), m_blocks(blocks), m_flags(flags), m_first(first), m_last(last)
	{
	}

	// All inputs between two flushes share the counter.
	void add(std::uint8_t const* input, std::uint8_t* result, std::uint64_t counter)
	{
		m_inputs[m_count] = input;
		m_results[m_count] = result;
		if (++m_count == max_lanes) flush(counter);
	}

	void flush(std::uint64_t counter)
	{
		if (m_count == 0) return;
		blake3_hash_many(m_inputs.data(), m_count, m_blocks, m_key, counter, false, m_flags, m_first, m_last, m_hashed.data());
		for (std::size_t i = 0; i < m_count; ++i) std::memcpy(m_results[i], m_hashed.data() + i * node_bytes, node_bytes);
		m_count = 0;
	}

private:
	std::uint32_t const* m_key;
	std::size_t m_blocks;
	std::uint8_t m_flags, m_first, m_last;
	std::size_t m_count = 0;
	std::array<std::uint8_t const*, max_lanes> m_inputs;
	std::array<std::uint8_t*, max_lanes> m_results;
	std::array<std::uint8_t, max_lanes * node_bytes> m_hashed;
};

class batch
{
public:
	batch(std::uint32_t const* key, std::uint8_t flags) : m_key(key), m_flags(flags), m_lanes(blake3_simd_degree()) {}

	void run(std::span<bytes_view const> messages, std::span<hash32> out)
	{
		plant(messages, out);
		hash_leaves();
		join_nodes();
		hash_roots();
	}

private:
	struct tree
	{
		bytes_view data;
		std::uint8_t* out;
		std::size_t leaves;  // whole ones
		std::size_t odd;     // of these, how many are left over when the others fill all lanes
		std::size_t first;   // of its nodes in m_nodes
		std::size_t nodes;   // on the level at hand
	};

	std::uint8_t* node(tree const& t, std::size_t i) { return m_nodes.data() + (t.first + i) * node_bytes; }

	void plant(std::span<bytes_view const> messages, std::span<hash32> out);
	void hash_leaves();
	void hash_tail(tree const& t, bytes_view tail);
	void join_nodes();
	void hash_roots();

	std::uint32_t const* m_key;
	std::uint8_t m_flags;
	std::size_t m_lanes;
	std::vector<tree> m_trees;
	bytes m_nodes;
};

void batch::plant(std::span<bytes_view const> messages, std::span<hash32> out)
{
	m_trees.clear();
	std::size_t total = 0;
	for (std::size_t i = 0; i < messages.size(); ++i)
	{
		auto const& m = messages[i];
		std::size_t const leaves = m.size() / leaf_bytes;
		std::size_t const nodes = leaves + (m.size() % leaf_bytes != 0 || m.empty() ? 1 : 0);
		// a message of one leaf is its own root and goes the way of tails
		std::size_t const whole = nodes == 1 ? 0 : leaves;
		m_trees.push_back({m, out[i].raw.data(), whole, whole % m_lanes, total, nodes});
		total += nodes;
	}
	if (m_nodes.size() < total * node_bytes) m_nodes.resize(total * node_bytes);
}

// A tree's leaves but its first odd ones fill all lanes by themselves; the odd ones of all trees go together by number.
void batch::hash_leaves()
{
	std::array<std::uint8_t const*, max_lanes> inputs;
	std::size_t most_odd = 0;
	for (auto const& t : m_trees)
	{
		for (std::size_t i = t.odd; i < t.leaves; i += m_lanes)
		{
			for (std::size_t k = 0; k < m_lanes; ++k) inputs[k] = t.data.data() + (i + k) * leaf_bytes;
			blake3_hash_many(inputs.data(), m_lanes, blocks_per_leaf, m_key, i, true, m_flags, CHUNK_START, CHUNK_END, node(t, i));
		}
		most_odd = std::max(most_odd, t.odd);
	}
	lane_queue queue(m_key, blocks_per_leaf, m_flags, CHUNK_START, CHUNK_END);
	for (std::size_t i = 0; i < most_odd; ++i)
	{
		for (auto const& t : m_trees)
			if (i < t.odd) queue.add(t.data.data() + i * leaf_bytes, node(t, i), i);
		queue.flush(i);
	}
	for (auto const& t : m_trees)
		if (t.leaves < t.nodes) hash_tail(t, t.data.subspan(t.leaves * leaf_bytes));
}

// The last leaf where it is not a whole one, or the only one.
void batch::hash_tail(tree const& t, bytes_view tail)
{
	std::uint32_t value[8];
	std::copy_n(m_key, 8, value);
	std::uint8_t const at_end = CHUNK_END | (t.nodes == 1 ? ROOT : 0);
	std::uint8_t flags = m_flags | CHUNK_START;
	for (; tail.size() > block_bytes; tail = tail.subspan(block_bytes), flags = m_flags)
		blake3_compress_in_place(value, tail.data(), block_bytes, t.leaves, flags);
	std::uint8_t block[block_bytes] = {};
	if (!tail.empty()) std::memcpy(block, tail.data(), tail.size());
	blake3_compress_in_place(value, block, std::uint8_t(tail.size()), t.leaves, flags | at_end);
	store_cv_words(t.nodes == 1 ? t.out : node(t, t.leaves), value);
}

// Level by level: neighbours are joined, an odd last node rises as it is, until two are left.
void batch::join_nodes()
{
	lane_queue queue(m_key, 1, m_flags | PARENT, 0, 0);
	for (bool more = true; more;)
	{
		more = false;
		for (auto const& t : m_trees)
			for (std::size_t i = 0; t.nodes > 2 && i < t.nodes / 2; ++i) queue.add(node(t, 2 * i), node(t, i), 0);
		queue.flush(0);
		for (auto& t : m_trees)
		{
			if (t.nodes <= 2) continue;
			if (t.nodes % 2 != 0) std::memmove(node(t, t.nodes / 2), node(t, t.nodes - 1), node_bytes);
			t.nodes = (t.nodes + 1) / 2;
			more = more || t.nodes > 2;
		}
	}
}

void batch::hash_roots()
{
	lane_queue queue(m_key, 1, m_flags | PARENT | ROOT, 0, 0);
	for (auto const& t : m_trees)
		if (t.nodes == 2) queue.add(node(t, 0), t.out, 0);
	queue.flush(0);
}

} // namespace

bool has_blake3_batch() noexcept { return true; }

void hash_blake3_batch(bytes_view key32, std::span<bytes_view const> messages, std::span<hash32> out)
{
	if (messages.size() != out.size()) throw std::logic_error("as many hashes as messages");
	if (!key32.empty() && key32.size() != BLAKE3_KEY_LEN) throw std::logic_error("a BLAKE3 key has 32 bytes");
	std::uint32_t key[8];
	if (key32.empty()) std::copy_n(IV, 8, key);
	else load_key_words(key32.data(), key);
	batch b(key, key32.empty() ? 0 : KEYED_HASH);
	while (!messages.empty())
	{
		std::size_t n = 0, size = 0;
		do size += messages[n++].size();
		while (n < messages.size() && n < max_batch && size + messages[n].size() <= max_batch_bytes);
		b.run(messages.first(n), out.first(n));
		messages = messages.subspan(n);
		out = out.subspan(n);
	}
}

} // namespace xet

#else

namespace xet {

bool has_blake3_batch() noexcept { return false; }

void hash_blake3_batch(bytes_view, std::span<bytes_view const>, std::span<hash32>)
{
	throw std::logic_error("this build does not reach BLAKE3's internals");
}

} // namespace xet

#endif
