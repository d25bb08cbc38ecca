"""The console command ``pdray``: each job is a subcommand.

    pdray tune-tsa key=value ...    as python jobs/tune_tsa.py key=value ...
    pdray --help                    lists the jobs
    pdray completion bash           prints a script that completes jobs, keys and values on TAB

Jobs are the files of ``jobs/``, and those that plug-ins name under ``pdray.jobs``.
"""

import ast
import sys
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from pdray.command import COMPLETE
from pdray.config import HELP, nearest
from pdray.errors import PdrayError, SettingsError
from pdray.plugins import parts, refuse_faults

# jobs/ lies inside the package where a wheel was installed, beside it in a checkout.
_PACKAGE = Path(__file__).parent
JOBS = next(one for one in (_PACKAGE / "jobs", _PACKAGE.parent / "jobs") if one.is_dir())

_USAGE = """Train and search video models of Parkinson's disease severity.

usage: pdray JOB [--help] [--config FILE] [key=value ...]
       pdray completion {bash,zsh}

jobs:
"""
_BASH = r"""_pdray() {
    local IFS=$'\n' line="${COMP_LINE:0:COMP_POINT}" word found
    word="${line##* }"
    COMPREPLY=($(pdray --complete "$line" 2>/dev/null))
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    # Bash replaces only the text behind the last "=".
    [[ $word == *=* && $COMP_WORDBREAKS == *=* ]] || return 0
    for found in "${!COMPREPLY[@]}"; do COMPREPLY[found]=${COMPREPLY[found]#*=}; done
}
complete -o default -F _pdray pdray
"""
_ZSH = r"""_pdray() {
    local -a found=("${(@f)$(pdray --complete "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
    found=(${found:#})
    if (( $#found )); then
        compadd -S '' -- ${(M)found:#*=}
        compadd -- ${found:#*=}
    else
        compset -P '*='
        _files
    fi
}
(( $+functions[compdef] )) || { autoload -U compinit; compinit }
compdef _pdray pdray
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        argv: Its name and its words; None: those of the command line.

    Returns:
        The exit code of the job; 2 after an error that the user can correct.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        if words[:1] == [COMPLETE]:
            return _complete(words[-1])
        if not words or words[0] in HELP:
            print(_USAGE + "\n".join(_listed()))
            return 0
        if words[0] == "completion":
            print(_script(words[1:]), end="")
            return 0
        return _run(words[0], words[1:])
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(name: str, words: list[str]) -> int:
    job = _job(name)
    if job is None:
        known = [*_own(), *_added(), "completion"]
        hint = nearest(name.replace("_", "-"), known)
        raise SettingsError(f"no job '{name}': {hint}jobs: {', '.join(known)}")
    code: int = job.main(words)
    return code


def _job(name: str) -> ModuleType | None:
    """Return the module of a job; None if there is none."""
    dashed = name.replace("_", "-")
    file = _own().get(dashed)
    if file is None:
        return _added().get(dashed)
    spec = spec_from_file_location(f"jobs.{file.stem}", file)
    assert spec is not None, "it is a Python file"
    assert spec.loader is not None, "it is a Python file"
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if module.__doc__:  # help shows how it was called
        module.__doc__ = module.__doc__.replace(f"python jobs/{file.name}", f"pdray {dashed}")
    return module


def _own() -> dict[str, Path]:
    files = {path.stem.replace("_", "-"): path for path in sorted(JOBS.glob("*.py"))}
    return {name: path for name, path in files.items() if not name.startswith("-")}


def _added() -> dict[str, ModuleType]:
    """Return the jobs of plug-ins."""
    found = parts("pdray.jobs", ModuleType, [*_own(), "completion"], check=_no_job)
    refuse_faults()
    return found


def _no_job(name: str, module: ModuleType) -> str:
    if name != name.replace("_", "-"):
        return f"write its name with dashes: {name.replace('_', '-')}"
    is_job = callable(getattr(module, "main", None)) and module.__doc__
    return "" if is_job else "a job is a module with a docstring and a function main(argv)"


def _listed() -> list[str]:
    """Return a line for each job: its name and the first line of its docstring."""
    texts = {name: _docstring(path) for name, path in _own().items()}
    texts |= {name: module.__doc__ or "" for name, module in _added().items()}
    wide = max(map(len, texts))
    return [f"  {name:<{wide}}  {text.splitlines()[0]}" for name, text in texts.items()]


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem


def _script(words: list[str]) -> str:
    if len(words) != 1 or words[0] not in SCRIPTS:
        raise SettingsError(
            "name one shell: pdray completion bash (in ~/.bashrc: source <(pdray completion bash)) "
            "or pdray completion zsh"
        )
    return SCRIPTS[words[0]]


def _complete(line: str) -> int:
    """Print the completions of the last word of a command line, one per line."""
    _, *words = line.split(" ")
    if len(words) > 1:
        job = _job(words[0])
        return 2 if job is None else int(job.main([COMPLETE, *words[1:]]))
    names = [*_own(), *_added(), "completion", "--help"]
    print("\n".join(name for name in names if name.startswith("".join(words))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
