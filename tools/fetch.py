"""Fetch a pinned source distribution through pip and print where it lies.

Usage: build/venv/bin/python tools/fetch.py PROJECT VERSION SHA256 FOLDER

pip itself is the client (its index, mirror, proxy and certificate settings
hold), but `pip download` is not: it would run the build of each distribution
only to learn its metadata. pip's version is pinned in tools/requirements.txt,
because these are its internal modules. A file whose hash is not the given one
is never kept.
"""

import hashlib
import os
import pathlib
import sys
import tempfile

from pip._internal.commands.download import DownloadCommand


def find_link(session_owner, options, session, project, version):
    finder = session_owner._build_package_finder(options, session)
    for candidate in finder.find_all_candidates(project):
        if str(candidate.version) == version and not candidate.link.is_wheel:
            return candidate.link
    sys.exit(f"fetch: no source distribution of {project} {version} in the index of pip")


def main():
    project, version, sha256, folder = sys.argv[1:5]
    target = pathlib.Path(folder) / f"{project}-{version}.tar.gz"
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == sha256:
        print(target)
        return
    command = DownloadCommand("download", "fetch a source distribution")
    options, _ = command.parse_args(["--no-binary", ":all:", "--no-deps", "-q", project])
    with command.main_context():
        session = command.get_default_session(options)
        link = find_link(command, options, session, project, version)
        print(f"fetch: {project} {version}", file=sys.stderr)
        if link.is_file:
            data = pathlib.Path(link.file_path).read_bytes()
        else:
            response = session.get(link.url_without_fragment, timeout=120)
            response.raise_for_status()
            data = response.content
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        sys.exit(f"fetch: {project} {version} has the hash {found}, expected {sha256}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as part:
        part.write(data)
    os.replace(part.name, target)
    print(target)


main()
