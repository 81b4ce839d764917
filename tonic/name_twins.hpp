#pragma once
// Names that systems which fold case or normalise Unicode take for one and the same. Used by scans. Pure functions.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tonic {

struct twin
{
	std::uint32_t index;  // of a name that has twins
	std::uint32_t other;  // one of them
};

// Every name of one directory that has the fold key of another. Unordered.
std::vector<twin> find_twins(std::span<std::string_view const> names);

// One line for a person: why a cannot be shared while b is there.
std::string describe_twin(std::string_view a, std::string_view b);

} // namespace tonic
