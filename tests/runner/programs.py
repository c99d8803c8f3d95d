"""Finds every program that a script or a source file starts, and fails on those that are not in a folder of programs.

    programs.py FOLDER SCRIPT...

Scripts are parsed by shfmt, Python by its own parser; in Rust and JavaScript the calls are recognised by their form, which
the house keeps: the program is a string, or it comes through one of the functions that are named here.
"""

import ast
import json
import pathlib
import re
import subprocess
import sys

# Of bash, and what other words of ours stand before a command that they run.
BUILTINS = set(subprocess.run(["bash", "-c", "compgen -b; compgen -k"], check=True, capture_output=True, text=True).stdout.split())
# How many words stand between the word and the command that it runs; None: options and assignments, as env has them.
PREFIXES = {"env": None, "setsid": None, "exec": None, "xargs": None, "wait_for": 2, "check": 1, "record": 1, "quietly": 1, "as_postgres": 0}
# Functions of Rust that start the program which their first argument names, by the folder whose files call them.
STARTERS = {
    "agent/src/network": ["run", "batch", "json", "command", "try_command"],
    "agent/tests/agent/libvirt.rs": [],
    "tests/src": ["printed", "run", "json"],
    "tests/tests/libvirt.rs": ["printed"],
    "tests/tests/server/webhooks/interop.rs": ["python"],
}
# Asked for only where there is systemd, which brings them.
WITH_SYSTEMD = {"systemctl"}


def scripts(paths):
    """Programs that bash scripts name, without those that they define as functions."""
    trees = {path: json.loads(subprocess.run(["shfmt", "-tojson"], stdin=open(path), check=True, capture_output=True).stdout) for path in paths}
    functions = {node["Name"]["Value"] for tree in trees.values() for node in nodes(tree) if node.get("Type") == "FuncDecl"}
    for path, tree in trees.items():
        for node in nodes(tree):
            if node.get("Type") == "CallExpr" and node.get("Args"):
                for name in called([literal(word) for word in node["Args"]]):
                    if name not in functions | BUILTINS:
                        yield name, path


def nodes(tree):
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            yield from nodes(part)


def literal(word):
    """The text of a word that is nothing else than text."""
    parts = word["Parts"]
    return "".join(part.get("Value", "") for part in parts) if all(part["Type"] in ("Lit", "SglQuoted") for part in parts) else None


def called(words):
    """The command's own word, and of a command that runs another one that one's too."""
    first = words[0]
    if first is None:
        return
    yield first
    if first in PREFIXES:
        rest = words[1:]
        skip = PREFIXES[first]
        if skip is None:
            while rest and rest[0] and (rest[0].startswith("-") or "=" in rest[0]):
                rest = rest[1:]
        else:
            rest = rest[skip:]
        if rest:
            yield from called(rest)


def rust(root):
    sources = [path for part in ("policy", "protocol", "server", "agent", "cli", "tests") for path in (root / part).rglob("*.rs")]
    for path in sources:
        text, place = path.read_text(), str(path.relative_to(root))
        starters = [names for folder, names in STARTERS.items() if place.startswith(folder)]
        for argument in re.findall(r"Command::new\(\s*([^)]*)", text):
            if argument.startswith('"'):
                yield argument.split('"')[1], place
            # A path of our own is an expression with a call or a macro in it; a bare name may be any program.
            elif re.match(r"\w+(\[0\])?$", argument) and not starters:
                yield f"{argument} (say in tests/runner/programs.py which functions start what it names)", place
        for functions in starters:
            for name in re.findall(r"\b(?:" + "|".join(functions or ["-"]) + r')\(\s*"([^"/]*)"', text):
                yield name, place


def javascript(root):
    for path in [*(root / "tests/browser").glob("*.js"), *(root / "tests/interop").glob("*.mjs")]:
        for name in re.findall(r'\b(?:spawn|spawnSync|exec|execSync|execFile|execFileSync)\("([^"]+)"', path.read_text()):
            yield name, str(path.relative_to(root))


def python(root):
    for path in [root / "deploy/demo", *(root / "deploy/lib").glob("*.py"), *(root / "tests").glob("*/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("run", "Popen", "check_output"):
                if node.args and isinstance(node.args[0], ast.List) and isinstance(node.args[0].elts[0], ast.Constant):
                    yield node.args[0].elts[0].value, str(path.relative_to(root))


def main(folder, *paths):
    root = pathlib.Path.cwd()
    found = {}
    for name, place in [*scripts(paths), *rust(root), *javascript(root), *python(root)]:
        if "/" not in name and name not in WITH_SYSTEMD:
            found.setdefault(name, place)
    missing = {name: place for name, place in found.items() if not (pathlib.Path(folder) / name).exists()}
    for name, place in sorted(missing.items()):
        print(f"{place}: {name} is in no package that deploy/lib/machine.sh declares")
    print(f"{len(found)} programs, {len(missing)} of no declared package: {' '.join(sorted(found))}")
    # Fewer would mean that this looks in the wrong place.
    return 1 if missing or len(found) < 60 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
