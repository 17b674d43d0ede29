"""Completion of commands, options and names by the shell."""

from __future__ import annotations

from typing import Annotated, Literal

from cloudms.context import Context
from cloudms.verb import LOCAL, Doc, verb

_SCRIPTS = {
    "bash": """\
_cms() {
    local value rest
    COMPREPLY=()
    while IFS=$'\\t' read -r value rest; do
        if [[ $value == ":files" ]]; then
            compopt -o default
        else
            printf -v value '%q' "$value"
            COMPREPLY+=("$value")
        fi
    done < <(cms __complete bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -F _cms cms
""",
    "zsh": """\
#compdef cms
_cms() {
    local line rest
    local -a found
    for line in "${(@f)$(cms __complete zsh "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        if [[ $line == ":files" ]]; then
            _files
        elif [[ -n $line ]]; then
            rest=
            [[ $line == *$'\\t'* ]] && rest=":${line#*$'\\t'}"
            found+=("${${line%%$'\\t'*}//:/\\\\:}$rest")
        fi
    done
    (( ${#found} )) && _describe cms found
}
if [[ $funcstack[1] == _cms ]]; then
    _cms "$@"
else
    compdef _cms cms
fi
""",
    "fish": """\
function __cms_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in (cms __complete fish $words[2..-1] 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c cms -f -a "(__cms_complete)"
""",
}


@verb("completion", doors=LOCAL, example='eval "$(cms completion bash)"')
def completion(ctx: Context, shell: Annotated[Literal["bash", "zsh", "fish"], Doc("the shell you use")]) -> str:
    """Print the script that makes a shell complete cms.

    For bash add `eval "$(cms completion bash)"` to ~/.bashrc; for zsh `eval "$(cms completion zsh)"` to ~/.zshrc, after
    compinit; for fish `cms completion fish > ~/.config/fish/completions/cms.fish`.
    """
    return _SCRIPTS[shell]
