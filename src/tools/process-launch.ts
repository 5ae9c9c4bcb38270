import type { Clock, Log, ProcessRun } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import { MARK } from './process-family.ts';
import type { Sandbox } from './sandbox/sandbox.ts';

// What stands between the daemon and a command: the shell that becomes it, its guard, its environment and its sandbox.

/** `identityOf`: what proves that a pid still means the same process. */
export type ProcessWorld = { clock: Clock; log: Log; identityOf: (pid: number) => string | null; sandbox?: Sandbox };

/** Of a guard: ends what carries its own mark, wherever it went. */
export const SWEEP =
  'read -r me _ </proc/self/stat; for pass in 1 2 3 4 5; do for p in /proc/[0-9]*; do p=${p#/proc/}; ' +
  '[ "$p" = "$me" ] || ! grep -qzxF "OPTA_BACKGROUND=$OPTA_BACKGROUND" "/proc/$p/environ" || kill -9 "$p"; done; sleep 0.1; done';
export const LAUNCHER =
  'command -v "$1" >/dev/null 2>&1 || exit 127; echo >&3; read -r _ <&3 || exit 125; ' +
  '( (trap "" TERM INT HUP; read -r _ <&3; ' +
  SWEEP +
  '; kill -9 0) >/dev/null 2>&1 & ); exec "$@" 3<&-';
/**
 * A keeper, for a process that may outlive its daemon: `sh -c KEEPER opta FOLDER SECONDS HELD PROGRAM ARGUMENT…`. It leads the group,
 * starts the command as its child, and writes the exit code to `FOLDER/exit`. What the command writes goes through named pipes in the
 * folder, which the keeper and the guard hold open for reading: with no daemon there, a command that writes more than they take waits,
 * and nothing is lost. `alive` is held open for writing by the keeper alone: its end is the keeper's.
 */
export const KEEPER =
  'command -v "$4" >/dev/null 2>&1 || exit 127; d=$1; ' +
  'mkfifo -m 600 "$d/out" "$d/err" "$d/ctl" "$d/alive" || exit 126; trap : TERM INT HUP; ' +
  'exec 4<>"$d/out" 5<>"$d/err" 6<"$d/out" 7<"$d/err" 9<>"$d/alive" 4>&- 5>&-; ' +
  // In a shell of its own: what ended it is not for the pipes to say.
  '(exec /bin/sh -c "$3" opta "$@" >"$d/out" 2>"$d/err" 9>&-); ' +
  'c=$?; echo $c >"$d/part" && mv "$d/part" "$d/exit"; exit $c';
/**
 * The child of a keeper: says its pid, waits for `go`, and becomes the command. Its guard outlives the daemon by the given seconds: it
 * waits at `ctl` for the next daemon, and then for that one's end or for its word that all is over; then it ends the group.
 */
export const HELD =
  'd=$1 late=$2; shift 3; echo $$ >&3; read -r _ <&3 || exit 125; ' +
  '( (trap "" TERM INT HUP; read -r _ <&3; exec 3<&-; w=; while [ -z "$w" ]; do ' +
  '(trap "kill -9 \\$s; exit" USR1; sleep "$late" & s=$!; wait $s; echo late >"$d/ctl") & t=$!; ' +
  'exec 3<"$d/ctl"; kill -USR1 $t; read -r w <&3; exec 3<&-; done; ' +
  SWEEP +
  '; kill -9 0) >/dev/null 2>&1 & ); exec "$@" 3<&- 6<&- 7<&-';
/** Where a shell that was made for a command talks with the daemon. */
export const PIPE_FD = 3;

/** The daemon's secrets reach no command; everything else does, as from a terminal. */
const SECRET = /^OPTA_\w*(?:KEY|TOKEN|SECRET|PASSWORD)$/;
export const environment = ({ processId, model }: ProcessRun): NodeJS.ProcessEnv => ({
  ...(model
    ? commandEnvironment(model.confine !== null)
    : Object.fromEntries(Object.entries(process.env).filter(([name]) => !SECRET.test(name)))),
  ...model?.env,
  [MARK]: processId,
});

/** [TL5] What a program needs to run and nothing that says who somebody is: no keys, tokens, agents or sockets. */
const NEEDED =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|JAVA_HOME|GOPATH|GOROOT|NVM_DIR|CARGO_HOME|RUSTUP_HOME)$/;
export const commandEnvironment = (confined: boolean, from: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(from).filter(([name]) => NEEDED.test(name))),
  TERM: 'dumb',
  NO_COLOR: '1',
  GIT_TERMINAL_PROMPT: '0',
  CI: '1',
  ...(confined ? { TMPDIR: '/tmp' } : {}),
});

/** Throws when it is to be confined and cannot be: what was allowed for a sandbox never runs without one. */
export const confined = ({ sandbox }: ProcessWorld, { argv, cwd, model }: ProcessRun): string[] => {
  if (!model?.confine) return argv;
  const wrapped = sandbox?.wrap(argv, { ...model.confine, cwd });
  if (!wrapped) throw new OptaError('tool-failed', `the command cannot be confined to ${model.confine.workspace}`);
  return wrapped;
};
