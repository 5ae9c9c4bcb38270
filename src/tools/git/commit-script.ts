/**
 * Commits files and nothing else, for `sh -c`: `$1` is the message, then three for each file: its path, and the SHA-256 of what it held
 * before the turn and after it, `-` for none. A file counts only while it holds what the turn left and held what is committed before
 * the turn, so that nobody else's work gets into the commit. Says the commit, then the paths; exit code 10 with a reason when there is none.
 *
 * It runs in the sandbox: a repository's own hooks and filters run there, as they would for a commit of the model.
 */
export const COMMIT_SCRIPT = `
set -u
message=$1; shift
fail() { printf '%s\\n' "$1"; exit 10; }
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || fail 'it is no git repository'
for name in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD rebase-merge rebase-apply; do
  [ ! -e "$(git rev-parse --git-path "$name")" ] || fail 'a merge or a rebase is going on'
done
git diff --cached --quiet || fail 'something is staged'
sum() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c1-64; }
left=$(( $# / 3 ))
while [ "$left" -gt 0 ]; do
  path=$1; before=$2; after=$3; shift 3; left=$(( left - 1 ))
  if git cat-file -e "HEAD:./$path" 2>/dev/null; then head=$(git cat-file blob "HEAD:./$path" | sum); else head=-; fi
  if [ -f "$path" ]; then now=$(sum <"$path"); else now=-; fi
  [ "$head" = "$before" ] && [ "$now" = "$after" ] && [ "$head" != "$now" ] || continue
  git check-ignore -q -- "$path" || set -- "$@" "$path"
done
[ $# -gt 0 ] || fail 'no file holds what the turn left and nothing else'
export GIT_LITERAL_PATHSPECS=1
git add -A -- "$@" || fail 'git could not add the files'
if ! said=$(git commit -q --only -m "$message" -- "$@" 2>&1); then
  git reset -q -- "$@"
  fail "git refused: $said"
fi
git rev-parse --short HEAD
printf '%s\\n' "$@"
`;
