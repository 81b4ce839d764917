#pragma once
// Finds the cuts of a buffer several times faster than the rule reads, with the same result. Internal to the chunker.
//
// One gear hash is a chain of dependent steps that leaves most of a core idle, so several lanes roll through different
// strips of the buffer at once: four with plain instructions, sixteen where AVX-512 makes them faster. A lane does not know where the chunks of its strip begin: it assumes one, and cuts and
// skips from there as the rule does. What it learns holds whatever it assumed: the hash depends on 64 bytes only, so of
// each stretch it rolled over it knows where the first trigger is. A joining pass then walks the true chunks, with the
// exact minimum and maximum, over these stretches, and looks itself only where no lane did.

#include "xet/chunker.hpp"
#include "xet/cut_finder_lanes.hpp"

namespace xet {

class cut_finder
{
public:
	// The roller decides how fast cuts are found, not where they are.
	explicit cut_finder(chunking const& c, gear::roller const& how = gear::fastest_roller());

	// data begins where a chunk begins; its first clean bytes are known to hold no cut. Appends the lengths of all chunks
	// that end in data and returns how many bytes these are: the rest is the front of the next chunk, without a cut.
	std::size_t find(bytes_view data, std::size_t clean, std::vector<std::uint32_t>& lengths);

private:
	// A "cut behind n bytes of the buffer" is called end n. Of the ends from … to only the last may trigger.
	struct stretch
	{
		std::size_t from, to;
		bool triggers;
	};

	// One lane's work: the ends up to the strip's.
	struct lane
	{
		std::size_t at;         // bytes in front of the next one to roll
		std::uint64_t hash;
		std::size_t from;       // first end that counts; those in front only fill the window
		std::size_t limit;      // last end before a cut is due anyway, or the strip's end
		std::size_t strip_end;  // last end of the strip
	};

	std::size_t find_plainly(std::vector<std::uint32_t>& lengths) const;
	void roll_lanes(gear::roller const& how);
	bool pause(lane& l, bool hit);
	void look_at(std::size_t first, std::size_t last);
	lane start_lane(std::size_t first, std::size_t last) const;
	bool split_longest(lane& idle);
	bool on_end(lane& l, bool triggers);
	void finish(lane& l);
	std::size_t first_trigger(std::size_t from, std::size_t to) const;
	std::size_t next_trigger(std::size_t from, std::size_t to);

	chunking m_rules;
	std::uint64_t m_mask;
	std::uint32_t m_min, m_max;

	gear::roller const& m_roller;

	bytes_view m_data;
	lane m_lanes[gear::max_lanes];
	std::size_t m_lane_count = 0;  // in use
	std::vector<stretch> m_stretches;
	std::size_t m_next = 0;  // the first stretch that can still matter to the joining pass
};

} // namespace xet
