"""Checks the documentation: links, anchors, commands, options, settings, benchmarks, paths and make targets exist.

    python -m tests.docs.docs_check

Prints one line per problem and exits with 1 if there is any.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import click

from bot.cli import cli
from bot.commands.registry import COMMANDS
from bot.config import Settings, environment_name
from tests.docs.markdown_page import Page, parse

ROOT = Path(__file__).resolve().parents[2]

FOLDERS = ("bot", "knowledge", "tests", "docs", "benchmarks", "migrations", "deploy")
"""Top-level folders whose paths are checked."""
PYTHON_PACKAGES = ("bot", "knowledge", "tests", "benchmarks")
OTHER_VARIABLES = frozenset({"HTTPS_PROXY", "OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS"})
"""Environment variables of libraries and of the system."""
PLACEHOLDERS = frozenset({"TURN_ID", "SERVER_ID", "BEIR_DIR"})
"""Placeholders in capitals."""
OTHER_COMMANDS = frozenset({"parley", "invite", "again"})
"""Slash commands besides ``bot.commands``: Slack's entry to them, one of Slack itself, and one of ``parley chat``."""
SHELL = frozenset({"", "sh", "shell", "bash", "console", "text"})
"""Languages of code blocks whose lines are read as commands and settings; in others only paths are checked."""

SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
PARLEY = re.compile(r"(?<![\w/@.-])parley\s+([^`|;&#)]*)")
PYTHON_MODULE = re.compile(r"\bpython3? -m ([\w.]+)([^`|;&#]*)")
SLASH_COMMAND = re.compile(r"(?<![\w/.:*>~}])/([a-z][a-z-]+)(?![\w/.-])")
LONG_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
ONLY_AN_OPTION = re.compile(r"--[a-z][a-z-]*(?:[ =].*)?")
PARLEY_VARIABLE = re.compile(r"\bPARLEY_[A-Z0-9_]*[A-Z0-9]\b")
ASSIGNMENT = re.compile(r"\b([A-Z][A-Z0-9_]{2,})=")
CAPITALS = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
FILE_PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w./*-]*")
DOTTED_NAME = re.compile(rf"(?<!-m )(?<![\w./-])(?:{'|'.join(PYTHON_PACKAGES)})(?:\.[a-z_]\w*)+\b(?![\w/*-])")
MAKE_TARGET = re.compile(r"(?<![\w-])make ([a-z][a-z-]*)")
MAKE_RULE = re.compile(r"^([a-z][a-z-]*):(?!=)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a page names and that does not exist. ``page`` is relative to the root."""

    page: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.message}"


def pages(root: Path = ROOT) -> list[Path]:
    """Return the pages to check: README, CONTRIBUTING, SECURITY and everything in docs."""
    top = [root / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return [path for path in top if path.exists()] + sorted((root / "docs").rglob("*.md"))


# --- what exists


@cache
def settings() -> frozenset[str]:
    """Return the names of Parley's settings in the environment."""
    return frozenset(environment_name(name) for name in Settings.model_fields)


@cache
def read_from_environment(root: Path = ROOT) -> frozenset[str]:
    """Return the environment variables that the Python sources read themselves."""
    reads = re.compile(r"environ(?:\.get)?[\[(]\s*\"([A-Z][A-Z0-9_]+)\"|\"([A-Z][A-Z0-9_]+)\" (?:not )?in os\.environ")
    found: set[str] = set()
    for package in PYTHON_PACKAGES:
        for source in (root / package).rglob("*.py"):
            if source != Path(__file__):
                found.update(first or second for first, second in reads.findall(source.read_text()))
    return frozenset(found)


@cache
def http_paths(root: Path = ROOT) -> frozenset[str]:
    """Return the HTTP paths that the platforms serve."""
    sources = (root / "bot" / "platforms").rglob("*.py")
    return frozenset(path for source in sources for path in re.findall(r"Route\(\s*\"(/[^\"]*)\"", source.read_text()))


@cache
def make_targets(root: Path = ROOT) -> frozenset[str]:
    """Return the targets of the Makefile."""
    makefile = root / "Makefile"
    return frozenset(MAKE_RULE.findall(makefile.read_text())) if makefile.exists() else frozenset()


@cache
def every_option(root: Path = ROOT) -> frozenset[str]:
    """Return the long options of the command line, the chat commands and the benchmarks."""
    found = set(_options_below(cli))
    for command in COMMANDS.values():
        found.update(LONG_OPTION.findall(command.usage))
    for source in (root / "benchmarks").rglob("*.py"):
        found.update(re.findall(r"\"(--[a-z][a-z-]*)\"", source.read_text()))
    return frozenset(found)


def _options(command: click.Command) -> set[str]:
    named = [name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)]
    return {"--help", *(name for name in named if name.startswith("--"))}


def _options_below(command: click.Command) -> Iterator[str]:
    yield from _options(command)
    for child in command.commands.values() if isinstance(command, click.Group) else ():
        yield from _options_below(child)


# --- the checks: each yields what is wrong with one piece of code


def check_command_line(text: str) -> Iterator[str]:
    """Check that ``parley SUBCOMMAND --option`` exists."""
    for call in PARLEY.finditer(text):
        words = call[1].split()
        command: click.Command = cli
        path = "parley"
        for word in words:
            if not isinstance(command, click.Group) or word.startswith("-"):
                break
            child = command.commands.get(word.rstrip(",.:"))
            if child is None:
                yield f"`{path} {word}` is not a command"
                return
            command, path = child, f"{path} {word}"
        for option in LONG_OPTION.findall(call[1]):
            if option not in _options(command):
                yield f"`{path}` has no option {option}"


def check_slash_commands(text: str) -> Iterator[str]:
    """Check that ``/command`` is a chat command, or a path that a platform serves."""
    for found in SLASH_COMMAND.finditer(text):
        known = found[1] in COMMANDS or found[1] in OTHER_COMMANDS
        if not known and found[0] not in http_paths():
            yield f"{found[0]} is not a chat command"


def check_settings(text: str) -> Iterator[str]:
    """Check that settings exist. Names with ``=`` must be variables; other capitals may be placeholders."""
    variables = settings() | read_from_environment() | OTHER_VARIABLES
    named = {*PARLEY_VARIABLE.findall(text), *ASSIGNMENT.findall(text)}
    named |= {name for name in CAPITALS.findall(text) if name not in PLACEHOLDERS}
    for name in sorted(named - variables):
        yield f"{name} is not a setting"


def check_python_modules(text: str) -> Iterator[str]:
    """Check that ``python -m MODULE`` can be run, and has the options."""
    for found in PYTHON_MODULE.finditer(text):
        name = found[1].rstrip(".")
        if name.split(".")[0] not in PYTHON_PACKAGES or name.split(".")[-1].isupper():
            continue
        source = _runnable_source(ROOT.joinpath(*name.split(".")))
        if not source:
            yield f"`python -m {name}` cannot be run"
            continue
        for option in LONG_OPTION.findall(found[2]):
            if f'"{option}"' not in source and option != "--help":
                yield f"`python -m {name}` has no option {option}"


def _runnable_source(path: Path) -> str:
    """Return the source of a module or package that ``python -m`` can run, else an empty string."""
    if path.is_dir():
        sources = [source.read_text() for source in path.glob("*.py")]
        return "".join(sources) if (path / "__main__.py").exists() else ""
    module = path.with_suffix(".py")
    source = module.read_text() if module.exists() else ""
    return source if "__main__" in source else ""


def check_paths(text: str) -> Iterator[str]:
    """Check that files and folders of the repository exist."""
    for found in FILE_PATH.findall(text):
        path = found.rstrip(".")
        exists = any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists()
        if not exists:
            yield f"{path} does not exist"


def check_dotted_names(text: str) -> Iterator[str]:
    """Check that a dotted name such as ``bot.commands`` starts with a module of that package."""
    for found in DOTTED_NAME.findall(text):
        module = ROOT.joinpath(*found.split(".")[:2])
        if not module.is_dir() and not module.with_suffix(".py").exists():
            yield f"{found} is not a module"


def check_make_targets(text: str) -> Iterator[str]:
    """Check that ``make TARGET`` is in the Makefile."""
    for target in MAKE_TARGET.findall(text):
        if target not in make_targets():
            yield f"`make {target}` is not a target"


def check_lone_options(text: str) -> Iterator[str]:
    """Check that a span that is only an option, such as ``--audience``, belongs to some command."""
    if ONLY_AN_OPTION.fullmatch(text):
        for option in LONG_OPTION.findall(text):
            if option not in every_option():
                yield f"no command has an option {option}"


Check = Callable[[str], Iterator[str]]
IN_OTHER_BLOCKS: Sequence[Check] = (check_paths,)
IN_SHELL: Sequence[Check] = (
    check_paths,
    check_command_line,
    check_settings,
    check_python_modules,
    check_make_targets,
)
IN_SPANS: Sequence[Check] = (*IN_SHELL, check_slash_commands, check_dotted_names, check_lone_options)


def check_code(page: Page) -> Iterator[tuple[int, str]]:
    """Check every code span and every line of a code block."""
    for code in page.code:
        checks = IN_SPANS if code.language is None else IN_SHELL if code.language in SHELL else IN_OTHER_BLOCKS
        for check in checks:
            for message in check(code.text):
                yield code.line, message


def check_links(page: Page, root: Path) -> Iterator[tuple[int, str]]:
    """Check that relative links and anchors exist."""
    for line, target in page.links:
        if SCHEME.match(target) or target.startswith("//"):
            continue
        place, _, anchor = target.partition("#")
        linked = (page.path.parent / unquote(place)).resolve()
        if place and not (linked.is_relative_to(root.resolve()) and linked.exists()):
            yield line, f"the link {target} leads nowhere"
        elif anchor and (not place or linked.suffix == ".md"):
            anchors = parse(linked.read_text(), linked).anchors if place else page.anchors
            if anchor not in anchors:
                yield line, f"the link {target} names a heading that does not exist"


def check_text(text: str, path: Path, root: Path = ROOT) -> list[Problem]:
    """Check one page. ``path`` is where the page is, or would be."""
    page = parse(text, path)
    found = sorted([*check_links(page, root), *check_code(page)])
    name = path.relative_to(root).as_posix()
    return [Problem(name, line, message) for line, message in dict.fromkeys(found)]


def unlisted(index: str, folder: Path) -> list[str]:
    """Return the pages of ``folder`` that its index does not link to, by name."""
    linked = {target.partition("#")[0] for _, target in parse(index, folder / "README.md").links}
    return sorted(path.name for path in folder.glob("*.md") if path.name != "README.md" and path.name not in linked)


def check_all(root: Path = ROOT) -> list[Problem]:
    """Check every page, and that each index lists the pages of its folder."""
    problems = [problem for path in pages(root) for problem in check_text(path.read_text(), path, root)]
    for index in sorted((root / "docs").rglob("README.md")):
        name = index.relative_to(root).as_posix()
        problems += [
            Problem(name, 1, f"the page {page} is not listed") for page in unlisted(index.read_text(), index.parent)
        ]
    return problems


def main() -> int:
    """Print the problems; return the exit status."""
    problems = check_all()
    for problem in problems:
        print(problem)
    print(f"{len(pages())} pages, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
