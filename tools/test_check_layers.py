"""The layer check finds what it must find, and nothing else."""

import importlib.util
import pathlib
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("check_layers", HERE / "check-layers.py")
check_layers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_layers)


class CheckLayers(unittest.TestCase):
    def check(self, **files):
        """Problems of a tree with these files: path with __ for / and _h or _c at the end."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "cmake").mkdir()
            (root / "cmake/layers.cmake").write_text((HERE.parent / "cmake/layers.cmake").read_text())
            (root / "src").mkdir()
            (root / "tests/unit").mkdir(parents=True)
            for name, text in files.items():
                path = root / (name.replace("__", "/")[:-2] + "." + name[-1])
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return list(check_layers.check_tree(root))

    def test_an_include_downwards_and_of_the_own_folder_is_fine(self):
        self.assertEqual(self.check(
            src__scan__table_c='#include "scan/table.h"\n#include "base/error.h"\n',
            src__scan__table_h='#include <igloo/status.h>\n#include <stdio.h>\n',
            src__base__error_h=""), [])

    def test_an_include_upwards_is_found_with_file_and_line(self):
        problems = self.check(src__base__error_c='#include <stdio.h>\n#include "scan/table.h"\n')
        self.assertEqual(len(problems), 1)
        self.assertTrue(problems[0].startswith("src/base/error.c:2: base/ (layer 0)"), problems)

    def test_an_include_sideways_is_found(self):
        self.assertEqual(len(self.check(src__sql__a_c='#include "files/read.h"\n')), 1)

    def test_an_include_with_odd_blanks_is_found(self):
        self.assertEqual(len(self.check(src__sql__a_c='  #  include "files/read.h"\n')), 1)

    def test_a_relative_path_out_of_the_folder_is_found(self):
        self.assertEqual(len(self.check(src__sql__a_c='#include "../base/error.h"\n')), 1)

    def test_a_folder_without_a_layer_is_found(self):
        self.assertEqual(len(self.check(src__misc__a_c="")), 1)

    def test_a_file_outside_of_the_folders_is_found(self):
        self.assertEqual(len(self.check(src__a_c="")), 1)

    def test_an_include_of_an_unknown_folder_is_found(self):
        self.assertEqual(len(self.check(src__base__a_c='#include "misc/x.h"\n')), 1)

    def test_the_shell_reaches_no_session_though_it_is_lower(self):
        self.assertEqual(len(self.check(src__shell__a_c='#include "session/session.h"\n')), 1)
        self.assertEqual(self.check(src__shell__a_c='#include "sql/split.h"\n#include "base/a.h"\n'), [])

    def test_only_the_engine_folder_includes_the_bridge(self):
        self.assertEqual(self.check(src__engine__a_c='#include <igloo_bridge.h>\n'), [])
        self.assertEqual(len(self.check(src__session__a_c='#include <igloo_bridge.h>\n')), 1)

    def test_a_unit_test_is_held_to_the_folder_it_tests(self):
        self.assertEqual(self.check(
            tests__unit__support_h="", tests__unit__files__scratch_h="",
            tests__unit__sql__test_a_c=(
                '#include "support.h"\n#include "sql/a.h"\n#include "files/scratch.h"\n')), [])
        self.assertEqual(len(self.check(tests__unit__sql__test_a_c='#include "scan/a.h"\n')), 1)


if __name__ == "__main__":
    unittest.main()
