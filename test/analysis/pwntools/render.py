"""Renders pwntools' shellcraft templates for one architecture; prints JSON: name to hexadecimal bytes, or to an error.

Usage: render.py ARCHITECTURE, with the arguments of templates, by name, as JSON on standard input.
"""
import json
import os
import random
import sys

from pwnlib import shellcraft
from pwnlib.asm import asm
from pwnlib.context import context
from pwnlib.encoders.encoder import Encoder

SEPARATOR = b"\x0f\x0bUNDERWATCH-SPLIT\x0f\x0b"


def names(folder):
    return sorted(name[:-4] for name in os.listdir(folder) if name.endswith(".asm"))


def render(module, name, arguments):
    return getattr(module, name)(*arguments)


def one(source):
    try:
        return asm(source).hex()
    except Exception as error:
        return {"error": str(error).splitlines()[0]}


def many(sources):
    """Assembles all in one go, which is a hundred times faster; labels are unique within a process."""
    separator = "\n.byte " + ", ".join(map(str, SEPARATOR)) + "\n"
    parts = asm(separator.join(sources.values())).split(SEPARATOR)
    return {name: part.hex() for name, part in zip(sources, parts)}


def encoded(raw, name, result):
    for encoder in Encoder._encoders[context.arch]:
        label = "%s through %s" % (name, type(encoder).__name__)
        for avoid in (set(b"\x00"), b"\x00"):  # the XOR encoder of 4.9.0 cannot take the set that it is given
            try:
                result[label] = encoder(raw, avoid=avoid, pcreg="").hex()
                break
            except Exception as error:
                result[label] = {"error": "%s: %s" % (type(error).__name__, error)}


def main():
    architecture = sys.argv[1]
    request = json.load(sys.stdin)
    random.seed(1)  # some templates choose numbers
    context.clear(arch=architecture, os="linux", log_level="critical")
    root = os.path.join(os.path.dirname(shellcraft.__file__), "templates", architecture)
    base = getattr(shellcraft, architecture)
    arguments = {"function": ["blank", base.nop], **request["arguments"]}
    result = {}
    for folder, module in ((root, base), (os.path.join(root, "linux"), base.linux)):
        for name in names(folder):
            try:
                source = render(module, name, arguments.get(name, []))
            except Exception as error:
                result[name] = {"error": "%s: %s" % (type(error).__name__, error)}
                continue
            result[name] = one(source)
            if name in request["encode"] and isinstance(result[name], str):
                encoded(bytes.fromhex(result[name]), name, result)
    sources = {}
    for name in names(os.path.join(root, "linux", "syscalls")):
        try:
            sources["syscalls/" + name] = render(base.linux.syscalls, name, [])
        except Exception as error:
            result["syscalls/" + name] = {"error": "%s: %s" % (type(error).__name__, error)}
    result.update(many(sources))
    json.dump(result, sys.stdout)


main()
