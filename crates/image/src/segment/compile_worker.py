"""Compiles modules for Provenv, one after the other, until stdin ends.

A request is two byte strings, the path of the module inside the image and its source; an answer is one byte
and one byte string: 0 and the .pyc, or 1 and nothing where the source does not compile. A byte string is its
length in four little-endian bytes and the bytes.

The answer is what py_compile writes for an unchecked-hash .pyc without optimisation. Only built-in and frozen
modules are imported, because the standard library has no bytecode yet; a source in an unusual encoding makes Python
import that one.
"""
import sys

# Not from the current folder.
sys.path[:] = [folder for folder in sys.path if folder]

import _frozen_importlib_external as external
import _imp
import _warnings
import gc

# Compiling makes many objects and no rubbish that counting does not find.
gc.disable()
_warnings.filters.insert(0, ("ignore", None, Warning, None, 0))
KEY = int.from_bytes(external.MAGIC_NUMBER, "little")


def read_string(read):
    head = read(4)
    if len(head) < 4:
        sys.exit()
    return read(int.from_bytes(head, "little"))


def main(read, write, flush):
    while True:
        path = read_string(read).decode()
        source = read_string(read)
        try:
            code = compile(source, path, "exec", dont_inherit=True, optimize=0)
            answer = bytes(external._code_to_hash_pyc(code, _imp.source_hash(KEY, source), False))
            status = b"\0"
        except (SyntaxError, ValueError, OverflowError, RecursionError):
            # No others: want of memory is the machine's fault, not the module's, and must not decide what an image holds.
            answer, status = b"", b"\1"
        write(status + len(answer).to_bytes(4, "little") + answer)
        flush()


main(sys.stdin.buffer.read, sys.stdout.buffer.write, sys.stdout.buffer.flush)
