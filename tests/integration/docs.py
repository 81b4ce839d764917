"""The manual pages name the options that --help lists, and no others; the configuration pages name the keys that are read."""

import pathlib
import re
import shutil
import subprocess

from _nodes import BIN

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAN = ROOT / "docs" / "man"


def listed(*command):
    """Options, each with all its names, and subcommands, as --help lists them."""
    text = subprocess.run([BIN / command[0], *command[1:], "--help"], capture_output=True, text=True, check=True).stdout
    options, commands, section = set(), [], ""
    for line in text.splitlines():
        if re.fullmatch(r"\S.*:", line):
            section = line[:-1]
        elif section == "Options" and (names := re.match(r" {2}(-\S+)", line)):
            options.update(names[1].split(","))
        elif section == "Subcommands" and (name := re.match(r" {2}(\S+)", line)):
            commands.append(name[1])
    assert options, f"{command}: no options found in\n{text}"
    return options, commands


def leaves(program, *path):
    """The commands that have no commands of their own, as tuples of words."""
    for command in listed(program, *path)[1]:
        yield from list(leaves(program, *path, command)) or [(*path, command)]


def plain(line):
    """A line of a manual page's source without its markup."""
    line = re.sub(r"\\f[A-Z]|\\f\[\w*\]", "", line)
    return line.replace("\\-", "-").replace('"', "")


def sections(page):
    """Heading → lines, for .SH and .SS of a manual page."""
    found, lines = {}, []
    for line in (MAN / page).read_text().splitlines():
        if line.startswith((".SH ", ".SS ")):
            lines = found[plain(line[4:])] = []
        else:
            lines.append(plain(line))
    return found


def documented(lines):
    """The options that a section explains: the tags of its paragraphs."""
    tags = [tag for before, tag in zip(lines, lines[1:]) if before == ".TP"]
    return {name for tag in tags for name in re.findall(r"(?<![\w-])--?[a-z][\w-]*", tag)}


def check_options(page, where, wanted, lines):
    there = documented(lines)
    assert wanted <= there, f"{page}, {where}: not documented: {sorted(wanted - there)}"
    assert there <= wanted, f"{page}, {where}: documented, but --help does not list it: {sorted(there - wanted)}"


def check_program(program):
    page = f"{program}.1"
    manual = sections(page)
    options, _ = listed(program)
    commands = list(leaves(program))
    check_options(page, "OPTIONS", options, manual["OPTIONS"])
    headings = {command: lines for heading, lines in manual.items() for command in commands if heading.split()[:len(command)] == list(command)}
    assert sorted(headings) == sorted(commands), f"{page} has commands {sorted(headings)}, --help has {sorted(commands)}"
    for command in commands:
        own, _ = listed(program, *command)
        check_options(page, " ".join(command), own - options, headings[command])


def check_keys():
    source = (ROOT / "plugin" / "config.cpp").read_text()
    keys = set(re.findall(r'\{"([a-z0-9_]+)\.([a-z0-9_]+)", (?:make|one_of)\(', source))
    assert keys, "no keys found in plugin/config.cpp"

    manual = sections("ut_xet.toml.5")
    in_manual = set()
    for heading, lines in manual.items():
        if heading.startswith("["):
            tags = [tag for before, tag in zip(lines, lines[1:]) if before == ".TP"]
            in_manual |= {(heading.strip("[]"), tag.split()[1]) for tag in tags}
    assert in_manual == keys, f"ut_xet.toml.5 and plugin/config.cpp differ in {sorted(in_manual ^ keys)}"

    page = (ROOT / "docs" / "config.md").read_text()
    in_page = set(re.findall(r"^\| `\[(\w+)\] (\w+)` \|", page, re.MULTILINE))
    assert in_page == keys, f"docs/config.md and plugin/config.cpp differ in {sorted(in_page ^ keys)}"

    environment = {f"UT_XET_{section}_{key}".upper() for section, key in keys}
    for name, text in (("ut_xet.toml.5", "\n".join(manual["ENVIRONMENT"])), ("docs/config.md", page)):
        missing = environment - set(re.findall(r"\w+", text))
        assert not missing, f"{name} does not name {sorted(missing)}"


def check_markup():
    """Nothing to complain of for the formatter, where there is one."""
    groff = shutil.which("groff")
    for page in sorted(MAN.glob("*.[15]")) if groff else ():
        done = subprocess.run([groff, "-man", "-ww", "-Tutf8", page], capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done.stderr


def main():
    for program in ("xet", "xetd", "xet-mktonic"):
        check_program(program)
    check_keys()
    check_markup()


main()
