"""Git repositories in a local folder and on a real server on loopback: what is read and what is refused."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from benchmarks.forbidden_addresses import shooting_range
from knowledge.errors import SourceError
from knowledge.ingest import Ingestor
from knowledge.sources.checked_git_remote import GitRemote, checked_remote
from knowledge.sources.checked_resolver import CheckedResolver
from knowledge.sources.git import GitSource, parse_tree
from knowledge.sources.git_command import Git
from knowledge.sources.git_tunnel import GitTunnel
from knowledge.sources.source_factory import open_source
from knowledge.types.source_items import Failure, Fetched

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

AUTHOR = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *AUTHOR, "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    """Create a repository with a commit and with files that must not be read."""
    folder = tmp_path / "served" / "handbook"
    (folder / "docs").mkdir(parents=True)
    git(folder, "init", "--quiet")
    files: dict[str, bytes] = {
        "README.md": b"# Handbook\n",
        "docs/leave.md": "# Leave\n\nÜbung\n".encode(),
        "data.dat": b"a\0b",
        "logo.png": b"\x89PNG",
        ".secret.md": b"hidden",
        "empty.md": b"",
        "large.txt": b"x" * 5_000,
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "link.md").symlink_to("/etc/hostname")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "Begin")
    (folder / "untracked.md").write_text("not yet")
    return folder


async def backend(root: Path, request: web.Request) -> web.Response:
    """Run git's own HTTP server as a CGI program."""
    program = Path(git(root, "--exec-path")) / "git-http-backend"
    environment = {
        **os.environ,
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "REMOTE_ADDR": "127.0.0.1",
    }
    process = await asyncio.create_subprocess_exec(
        str(program), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment
    )
    printed, _ = await process.communicate(await request.read())
    head, _, body = printed.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    status = int(headers.pop("Status", "200").split()[0])
    return web.Response(status=status, body=body, headers=headers)


@pytest.fixture
async def server(handbook: Path) -> AsyncIterator[tuple[str, list[str]]]:
    """Serve the folder of the repository. Yield the URL and the list of requested paths."""
    requested_paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        requested_paths.append(request.path)
        if request.path.startswith("/moved"):
            target = str(request.rel_url).replace("/moved", "/handbook", 1)
            return web.Response(status=302, headers={"Location": target})
        if request.path.startswith("/private"):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        return await backend(handbook.parent, request)

    app = web.Application(handler_args={"auto_decompress": False})
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", requested_paths
    await runner.cleanup()


async def read(source: GitSource) -> tuple[dict[str, bytes], list[Failure]]:
    items = [item async for item in source.fetch()]
    return (
        {item.uri: item.data for item in items if isinstance(item, Fetched)},
        [item for item in items if isinstance(item, Failure)],
    )


def source(location: str | Path, *allow: str) -> GitSource:
    return GitSource(location, fetch_allow=allow, max_bytes=2_000)


def assert_handbook(documents: dict[str, bytes], failures: list[Failure]) -> None:
    assert documents == {
        "handbook/README.md": b"# Handbook\n",
        "handbook/docs/leave.md": "# Leave\n\nÜbung\n".encode(),
    }
    assert [failure.source for failure in failures] == ["handbook/large.txt"]
    assert "larger than" in failures[0].error


async def test_local_repository_yields_only_committed_files(handbook: Path) -> None:
    (handbook / "README.md").write_text("changed but not committed")
    assert_handbook(*await read(source(handbook)))
    items = [item async for item in source(handbook).fetch()]
    commit = git(handbook, "rev-parse", "HEAD")
    assert {item.metadata["commit"] for item in items if isinstance(item, Fetched)} == {commit}


async def test_remote_repository_is_cloned_to_a_temporary_folder(
    server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    url, _ = server
    assert_handbook(*await read(source(f"{url}/handbook", "127.0.0.1")))
    assert_handbook(*await read(source(f"{url.replace('127.0.0.1', 'LocalHost.')}/handbook", "localhost")))
    assert [path.name for path in tmp_path.iterdir()] == ["served"]


async def test_git_connects_to_the_checked_address(
    server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that only our own resolver can resolve is reached, so git did not resolve it again."""

    async def resolve(self: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, str]]:
        return [{"host": "127.0.0.1"}]

    monkeypatch.setattr(CheckedResolver, "resolve", resolve)
    url, requested_paths = server
    port = url.rpartition(":")[2]
    with pytest.raises(SourceError, match="PARLEY_FETCH_ALLOW"):
        await read(source(f"http://rebind.invalid:{port}/handbook"))
    assert requested_paths == []
    documents, _ = await read(source(f"http://rebind.invalid:{port}/handbook", "rebind.invalid"))
    assert documents
    assert requested_paths


@pytest.mark.parametrize("missing", ["pin", "proxy"])
async def test_proxy_and_pinned_name_each_hold_git_to_the_checked_address(
    server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """git itself cannot resolve the name, so either of the two alone brings it to the address."""

    async def resolve(self: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, str]]:
        return [{"host": "127.0.0.1"}]

    monkeypatch.setattr(CheckedResolver, "resolve", resolve)
    if missing == "pin":
        monkeypatch.setattr(GitRemote, "settings", ())
    else:
        monkeypatch.setattr(GitTunnel, "url", property(lambda _: "", lambda *_: None), raising=False)
    port = server[0].rpartition(":")[2]
    documents, _ = await read(source(f"http://rebind.invalid:{port}/handbook", "rebind.invalid"))
    assert documents


async def test_git_that_follows_everything_reaches_only_its_repository(tmp_path: Path) -> None:
    """Even if git followed redirects and alternates, its proxy would refuse every other host."""
    async with shooting_range(100) as made:
        for path in ("alternates", *(f"git/{number}/x.git" for number in range(10))):
            remote = await checked_remote(f"{made.url}/{path}", made.allow)
            async with remote.tunnel() as tunnel:
                settings = (*remote.settings, "http.followRedirects=true")
                every_way = Git(tmp_path, protocols="https:http", settings=settings, proxy=tunnel.url)
                with pytest.raises(SourceError):
                    await every_way.run("clone", "--bare", "--", remote.url, str(tmp_path / "x"), seconds=30)
                if path == "alternates":
                    assert "another host" in tunnel.refusal
        assert (made.reached, dict(made.dialed)) == (0, {})


async def test_stored_commit_is_not_cloned_again(
    server: tuple[str, list[str]], handbook: Path, ingestor: Ingestor
) -> None:
    git(handbook, "rm", "--quiet", "large.txt")
    git(handbook, "commit", "--quiet", "-m", "Smaller")
    url, requested_paths = server
    repository = source(f"{url}/handbook", "127.0.0.1")
    first = await ingestor.ingest([repository], tenant_id="t")
    assert (first.documents, first.failed) == (2, ())
    assert any("git-upload-pack" in path for path in requested_paths)
    cloned = len(requested_paths)
    again = await ingestor.ingest([repository], tenant_id="t")
    assert (again.documents, again.unchanged, again.deleted, repository.count()) == (2, 2, 0, 2)
    spared = len(requested_paths) - cloned
    (handbook / "README.md").write_text("# Another\n")
    git(handbook, "commit", "--quiet", "-a", "-m", "Another")
    changed = await ingestor.ingest([repository], tenant_id="t")
    assert (changed.documents, changed.unchanged) == (2, 1)
    assert len(requested_paths) - cloned - spared > spared


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"])
async def test_private_addresses_are_refused_before_git_runs(host: str, server: tuple[str, list[str]]) -> None:
    url, requested_paths = server
    with pytest.raises(SourceError, match="PARLEY_FETCH_ALLOW"):
        await read(source(f"http://{host}:{url.rpartition(':')[2]}/handbook"))
    assert requested_paths == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/moved", "moved"),
        ("/private", "not public"),
        ("/nothing", "does not exist"),
        ("/a b", "not the URL of a repository"),
        ("/a\\b", "not the URL of a repository"),
        ("", "not the URL of a repository"),
    ],
)
async def test_urls_that_cannot_be_cloned(server: tuple[str, list[str]], path: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        await read(source(server[0] + path, "127.0.0.1"))


async def test_clone_is_stopped_at_the_size_limit(
    server: tuple[str, list[str]], handbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (handbook / "noise.bin").write_bytes(os.urandom(300_000))
    git(handbook, "add", "noise.bin")
    git(handbook, "commit", "--quiet", "-m", "Noise")
    monkeypatch.setattr("knowledge.sources.git.MAX_CLONE_BYTES", 100_000)
    with pytest.raises(SourceError, match="too large"):
        await read(source(f"{server[0]}/handbook", "127.0.0.1"))


async def test_repository_cannot_make_git_run_programs(handbook: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    (handbook / ".gitattributes").write_text("*.md filter=evil diff=evil\n")
    git(handbook, "add", ".gitattributes")
    git(handbook, "commit", "--quiet", "-m", "Trap")
    for setting in ("core.fsmonitor", "filter.evil.smudge", "diff.evil.textconv", "core.pager", "core.sshCommand"):
        git(handbook, "config", setting, str(trap))
    for hook in ("post-checkout", "post-index-change", "reference-transaction"):
        shutil.copy(trap, handbook / ".git" / "hooks" / hook)
    (tmp_path / "sprung").unlink(missing_ok=True)
    documents, _ = await read(source(handbook))
    assert "handbook/README.md" in documents
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("url", ["ext::sh -c touch% trap", "file:///tmp", "ssh://example.org/x", "git://example.org/x"])
async def test_git_uses_only_allowed_protocols(tmp_path: Path, url: str) -> None:
    with pytest.raises(SourceError, match="not allowed"):
        await Git(tmp_path, protocols="https:http").run("clone", "--", url, str(tmp_path / "x"), seconds=10)


async def test_folders_without_a_repository_raise_an_error(tmp_path: Path, handbook: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder in (empty, handbook / "docs"):
        with pytest.raises(SourceError, match="no git repository"):
            await read(source(folder))
    git(empty, "init", "--quiet")
    with pytest.raises(SourceError, match="no commit"):
        await read(source(empty))


async def test_missing_git_raises_an_error(handbook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(handbook))
    with pytest.raises(SourceError, match="needs git"):
        await read(source(handbook))


def test_symbolic_links_and_submodules_are_skipped() -> None:
    lines = (
        b"100644 blob aa      3\ta.md\0",
        b"120000 blob bb      3\tb.md\0",
        b"160000 commit cc      -\tsub\0",
        b"100755 blob dd     10\tx/../y.sh\0",
        b"100644 blob ee      3\t\xff.md\0",
    )
    assert [(file.path, file.size) for file in parse_tree(b"".join(lines))] == [("a.md", 3), ("\\xff.md", 3)]


@pytest.mark.parametrize(
    ("spec", "uri"),
    [
        ("https://example.org/team/x.git", "git:https://example.org/team/x.git"),
        ("git:https://example.org/team/x", "git:https://example.org/team/x"),
        ("git:<https://example.org/team/x>", "git:https://example.org/team/x"),
    ],
)
def test_repository_opens_again_by_its_uri(spec: str, uri: str) -> None:
    for again in (spec, uri):
        found = open_source(again, fetch_allow=(), max_bytes=1000, files=False)
        assert (found.kind, found.uri) == ("git", uri)


def test_local_repository_opens_from_the_terminal_only(handbook: Path) -> None:
    found = open_source(f"git:{handbook}", fetch_allow=(), max_bytes=1000, files=True)
    assert (found.kind, found.uri) == ("git", f"git:{handbook}")
    with pytest.raises(SourceError, match="from the terminal only"):
        open_source(f"git:{handbook}", fetch_allow=(), max_bytes=1000, files=False)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("git:", "no folder"),
        ("git:/nowhere", "no folder /nowhere"),
        ("git:file:///etc", "with https://"),
        ("git:https://example.org/a.git#", "names no branch"),
        ("git:https://example.org/a.git#--upload-pack=x", "names no branch"),
        ("git:https://example.org/a.git#main:../x", "names no branch"),
    ],
)
def test_invalid_repository_specs_raise_an_error(spec: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_source(spec, fetch_allow=(), max_bytes=1000, files=True)


@pytest.mark.parametrize(
    ("spec", "uri"),
    [
        ("git@example.org:team/name.git", "git:https://example.org/team/name.git"),
        ("git:git@example.org:team/name.git#main:docs", "git:https://example.org/team/name.git#main:docs"),
        ("ssh://git@example.org:22/team/name", "git:https://example.org/team/name"),
        ("https://example.org/team/name.git#v1.2", "git:https://example.org/team/name.git#v1.2"),
        ("git:https://example.org/team/name#:docs/api/", "git:https://example.org/team/name#:docs/api"),
    ],
)
def test_address_of_a_repository_is_read_over_https(spec: str, uri: str) -> None:
    assert open_source(spec, fetch_allow=(), max_bytes=1, files=False).uri == uri
    assert open_source(uri, fetch_allow=(), max_bytes=1, files=False).uri == uri


async def test_branch_and_folder_of_a_repository(handbook: Path) -> None:
    git(handbook, "switch", "--quiet", "-c", "draft")
    (handbook / "docs" / "draft.md").write_text("# Draft")
    git(handbook, "add", "docs")
    git(handbook, "commit", "--quiet", "-m", "Draft")
    git(handbook, "switch", "--quiet", "main")

    async def names(part: str) -> list[str]:
        source = open_source(f"git:{handbook}{part}", fetch_allow=(), max_bytes=10_000, files=True)
        return [item.uri for item in [item async for item in source.fetch()] if isinstance(item, Fetched)]

    assert await names("#draft:docs") == ["handbook/docs/draft.md", "handbook/docs/leave.md"]
    assert await names("#:docs") == ["handbook/docs/leave.md"]
    with pytest.raises(SourceError, match="no documents in nowhere"):
        await names("#draft:nowhere")
    with pytest.raises(SourceError, match="no branch or tag drafts"):
        await names("#drafts")


async def test_missing_branch_of_a_remote_repository_is_named(server: tuple[str, list[str]]) -> None:
    remote = GitSource(f"{server[0]}/handbook", fetch_allow=("127.0.0.1",), max_bytes=10_000, branch="drafts")
    with pytest.raises(SourceError, match="no branch or tag drafts"):
        await read(remote)


async def test_lfs_pointer_is_named(handbook: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 5\n"
    (handbook / "big.csv").write_text(pointer)
    git(handbook, "add", "big.csv")
    git(handbook, "commit", "--quiet", "-m", "Pointer")
    items = [item async for item in GitSource(handbook, fetch_allow=(), max_bytes=10_000).fetch()]
    assert [item.source for item in items if isinstance(item, Failure)] == ["handbook/big.csv"]
