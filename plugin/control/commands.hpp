#pragma once
// What can be asked over the control socket (docs/control.md). Any thread.

#include <functional>
#include <string>

namespace ut_xet {

class node;

// Carries out one request and sends its answer: any number of {"event":…} lines and one {"ok":…} line. False when the
// other side is gone (send returned false).
bool answer(node& n, std::string const& request, std::function<bool(std::string const&)> const& send);

} // namespace ut_xet
