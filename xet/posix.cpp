#include "xet/posix.hpp"

namespace xet {

errc code_of(int error_number)
{
	switch (error_number)
	{
	case ENOENT:
	case ENOTDIR: return errc::not_found;
	case ENOSPC:
	case EDQUOT: return errc::no_space;
	default: return errc::io;
	}
}

} // namespace xet
