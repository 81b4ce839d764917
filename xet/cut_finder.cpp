#include "xet/cut_finder.hpp"
#include "xet/gear.hpp"

#include <algorithm>

namespace xet {

namespace {

// A strip shorter than this is not worth a lane of its own: filling the window and changing over cost as much.
constexpr std::size_t min_strip_bytes = 2048;

} // namespace

cut_finder::cut_finder(chunking const& c, gear::roller const& how)
	: m_rules(c), m_mask(c.mask()), m_min(c.min_bytes), m_max(std::max(c.max_bytes, c.min_bytes)), m_roller(how)
{
}

std::size_t cut_finder::find(bytes_view data, std::size_t clean, std::vector<std::uint32_t>& lengths)
{
	m_data = data;
	// with chunks shorter than the window, what a lane sees depends on where its chunk began
	if (m_min < gear::window_bytes) return find_plainly(lengths);

	m_stretches.clear();
	m_next = 0;
	std::size_t const first = std::max<std::size_t>(clean + 1, m_min);
	if (clean >= m_min) m_stretches.push_back({m_min, clean, false});
	if (first <= data.size()) look_at(first, data.size());

	std::size_t start = 0;
	while (data.size() - start >= m_min)
	{
		std::size_t const due = start + m_max;
		std::size_t cut = next_trigger(start + m_min, std::min(due, data.size()));
		if (cut == 0)
		{
			if (due > data.size()) break;
			cut = due;
		}
		lengths.push_back(std::uint32_t(cut - start));
		start = cut;
	}
	return start;
}

std::size_t cut_finder::find_plainly(std::vector<std::uint32_t>& lengths) const
{
	chunker cutter(m_rules);
	std::size_t start = 0;
	while (start < m_data.size())
	{
		auto const s = cutter.next(m_data.subspan(start));
		if (!s.boundary) break;
		lengths.push_back(std::uint32_t(s.consumed));
		start += s.consumed;
	}
	return start;
}

// Sends the lanes over the ends first … last.
void cut_finder::look_at(std::size_t first, std::size_t last)
{
	std::size_t const size = last - first + 1;
	auto const& how = size < m_roller.min_bytes ? gear::portable_roller() : m_roller;
	m_lane_count = how.lanes;
	std::size_t const strip = size / m_lane_count;
	if (strip < min_strip_bytes)
	{
		auto single = start_lane(first, last);
		finish(single);
		return;
	}
	for (std::size_t i = 0; i < m_lane_count; ++i)
		m_lanes[i] = start_lane(first + i * strip, i + 1 == m_lane_count ? last : first + (i + 1) * strip - 1);
	roll_lanes(how);
	for (auto& l : std::span(m_lanes, m_lane_count)) finish(l);
	std::sort(m_stretches.begin(), m_stretches.end(), [](auto const& a, auto const& b) { return a.from < b.from; });
}

cut_finder::lane cut_finder::start_lane(std::size_t first, std::size_t last) const
{
	// A cut is assumed where it makes `first` the first end of a chunk that counts.
	return {first - gear::window_bytes, 0, first, std::min(last, first - m_min + m_max), last};
}

// Until a lane has run out of work and no other has enough to share.
void cut_finder::roll_lanes(gear::roller const& how)
{
	for (bool all_busy = true; all_busy;)
	{
		gear::positions p;
		std::size_t blocks = m_data.size();
		for (std::size_t i = 0; i < m_lane_count; ++i)
		{
			auto const& l = m_lanes[i];
			p.at[i] = m_data.data() + l.at;
			p.hash[i] = l.hash;
			blocks = std::min(blocks, (l.limit - l.at) / gear::block_bytes);
		}

		auto const hits = blocks == 0 ? 0 : how.roll(p, blocks, m_mask);
		for (std::size_t i = 0; i < m_lane_count; ++i)
		{
			m_lanes[i].at = std::size_t(p.at[i] - m_data.data());
			m_lanes[i].hash = p.hash[i];
		}
		for (std::size_t i = 0; i < m_lane_count; ++i)
			if (!pause(m_lanes[i], (hits >> i & 1) != 0) && !split_longest(m_lanes[i])) all_busy = false;
	}
}

// All lanes have stopped, because this one triggered or for another reason. False when it has nothing left to do.
bool cut_finder::pause(lane& l, bool hit)
{
	// a trigger in front of `from` is none; the lane goes on behind it
	if (hit && l.at >= l.from) return on_end(l, true);
	if (l.limit - l.at >= gear::block_bytes) return true;
	auto const rest = gear::scan(l.hash, m_data.subspan(l.at, l.limit - l.at), m_mask);
	l.at += rest.taken;
	return l.at < l.from && rest.hit ? true : on_end(l, rest.hit);
}

// The lane stands at an end where a cut is (a trigger, or its limit): notes what it knows and goes on with the next
// chunk. False when its strip is done.
bool cut_finder::on_end(lane& l, bool triggers)
{
	m_stretches.push_back({l.from, l.at, triggers});
	if (l.strip_end - l.at < m_min)
	{
		l.at = l.limit = l.strip_end;
		return false;
	}
	l.from = l.at + m_min;
	l.limit = std::min(l.strip_end, l.at + m_max);
	l.at = l.from - gear::window_bytes;
	l.hash = 0;
	return true;
}

// Gives an idle lane the second half of the longest rest.
bool cut_finder::split_longest(lane& idle)
{
	auto& longest = *std::max_element(m_lanes, m_lanes + m_lane_count, [](lane const& a, lane const& b)
									  { return a.strip_end - a.at < b.strip_end - b.at; });
	std::size_t const rest = longest.strip_end - longest.at;
	if (rest < 2 * min_strip_bytes) return false;
	std::size_t const middle = longest.at + rest / 2;
	// a lane may be about to begin beyond the middle
	if (middle < longest.from) return false;
	idle = start_lane(middle + 1, longest.strip_end);
	longest.strip_end = middle;
	longest.limit = std::min(longest.limit, middle);
	return true;
}

// Runs one lane to the end of its strip.
void cut_finder::finish(lane& l)
{
	while (l.at < l.strip_end)
	{
		auto const scanned = gear::scan(l.hash, m_data.subspan(l.at, l.limit - l.at), m_mask);
		l.at += scanned.taken;
		if (l.at >= l.from) on_end(l, scanned.hit);
	}
}

// The first end in from … to that triggers, looked for without help; 0 if none.
std::size_t cut_finder::first_trigger(std::size_t from, std::size_t to) const
{
	auto const* const base = m_data.data();
	auto h = gear::roll_over(0, base + from - gear::window_bytes, base + from - 1);
	auto const scanned = gear::scan(h, m_data.subspan(from - 1, to - from + 1), m_mask);
	return scanned.hit ? from - 1 + scanned.taken : 0;
}

// The same with the lanes' help. from never goes back from call to call.
std::size_t cut_finder::next_trigger(std::size_t from, std::size_t to)
{
	while (m_next < m_stretches.size() && m_stretches[m_next].to < from) ++m_next;
	for (std::size_t i = m_next; from <= to; ++i)
	{
		if (i == m_stretches.size()) return first_trigger(from, to);
		auto const& s = m_stretches[i];
		if (from < s.from)
		{
			if (auto const found = first_trigger(from, std::min(to, s.from - 1))) return found;
			if (s.from > to) break;
		}
		if (s.triggers && s.to <= to) return s.to;
		from = s.to + 1;
	}
	return 0;
}

} // namespace xet
