"""Print how long Python needs to compile the modules below the given folders, on all cores and nothing else.

Run it with the environment's own Python. Sources are read first; results are marshalled and thrown away.
"""

import gc
import marshal
import os
import sys
import time


def modules(roots):
    for root in roots:
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if name not in ("test", "tests")]
            for name in files:
                if name.endswith(".py") and name[:-3].isidentifier():
                    path = os.path.join(folder, name)
                    with open(path, "rb") as file:
                        yield path, file.read()


def compile_all(sources):
    for path, source in sources:
        try:
            marshal.dumps(compile(source, path, "exec", dont_inherit=True, optimize=0))
        except (SyntaxError, ValueError):
            pass


def main():
    gc.disable()
    sources = sorted(modules(sys.argv[1:]), key=lambda item: len(item[1]))
    cores = len(os.sched_getaffinity(0))
    start = time.perf_counter()
    children = []
    for number in range(cores):
        child = os.fork()
        if child == 0:
            compile_all(sources[number::cores])
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    print(time.perf_counter() - start)


main()
