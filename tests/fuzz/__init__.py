"""Files from strangers: what a whole file becomes when it is damaged, and what the program makes of it.

A kind of file is one module in `kinds`, with one function that is registered there:

    @kind("tables", prepare=whole)
    def tables(rng: random.Random, folder: Path) -> Case: ...

It writes a damaged file into the empty folder, drawing on `rng` alone, and returns what is to be run: the words of a
command line, or a function, which may raise `WsvadError` (the file was refused), and raises `Fault` where it finds that
something wrong was said. `prepare` makes what all cases need, before the first. `mutate.py` damages bytes, values and
files; `harness.py` runs cases and says how they end.
"""
