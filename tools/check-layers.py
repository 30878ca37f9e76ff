#!/usr/bin/env python3
"""Fail on an include that goes up or sideways between the folders of src/.

Usage: tools/check-layers.py [ROOT]

The numbers are those of cmake/layers.cmake. A folder includes its own files,
folders of a lower number and <igloo/...>; never a sibling on the same number.
Two folders are held shorter: shell/ and adbc/ see a database only through
<igloo/...>. Only engine/ includes the bridge's header. Unit tests may include
what the folder they test may.
"""

import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)
ONLY = {
    "shell": {"base", "arrow", "sql", "files", "config"},
    "adbc": {"base", "arrow", "sql", "files", "config"},
}
BRIDGE_HEADER = "igloo_bridge.h"


def read_layers(root):
    text = (root / "cmake/layers.cmake").read_text()
    body = re.search(r"set\(IGLOO_LAYERS(.*?)\)", text, re.S).group(1)
    return {name: int(number) for number, name in re.findall(r"(\d+):(\w+)", body)}


def may_include(layers, folder, other):
    if other == folder:
        return True
    if folder in ONLY:
        return other in ONLY[folder]
    return layers[other] < layers[folder]


def check_file(layers, folder, path, shown, helpers):
    """`helpers` is the folder whose headers any unit test may include; None for src/."""
    for match in INCLUDE.finditer(path.read_text()):
        quote, target = match.groups()
        line = path.read_text()[: match.start(2)].count("\n") + 1
        where = f"{shown}:{line}"
        if pathlib.PurePath(target).name == BRIDGE_HEADER:
            if folder != "engine":
                yield f"{where}: only engine/ includes the bridge's header"
            continue
        if quote == "<" or target.startswith("igloo/"):
            continue
        head = target.split("/")[0]
        if ".." in target.split("/"):
            yield f"{where}: \"{target}\" leaves its folder by a relative path"
        elif helpers and (helpers / target).exists():
            continue
        elif "/" not in target:
            if not (path.parent / target).exists():
                yield f"{where}: \"{target}\" names no folder"
        elif head not in layers:
            yield f"{where}: \"{target}\" is in no layer"
        elif not may_include(layers, folder, head):
            yield (
                f"{where}: {folder}/ (layer {layers[folder]}) includes \"{target}\" "
                f"(layer {layers[head]})"
            )


def check_tree(root):
    layers = read_layers(root)
    for base, in_test in (("src", False), ("tests/unit", True)):
        for path in sorted((root / base).rglob("*.[ch]")):
            parts = path.relative_to(root / base).parts
            shown = path.relative_to(root)
            if len(parts) == 1:
                if not in_test:
                    yield f"{shown}: lies in no layer folder"
            elif parts[0] not in layers:
                yield f"{shown}: folder \"{parts[0]}\" is not in cmake/layers.cmake"
            else:
                helpers = root / base if in_test else None
                yield from check_file(layers, parts[0], path, shown, helpers)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    if root.is_file():
        root = root.parent.parent
    problems = list(check_tree(root))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
