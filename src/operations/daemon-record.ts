import type { DaemonState } from '../client/daemon-state.ts';

/** The state as scripts know it. `covered` stands in place of the tokens; null shows them, to whoever asked for them. */
export const daemonRecord = (state: DaemonState, covered: string | null) => ({
  pid: state.pid,
  daemonId: state.daemonId,
  host: state.host,
  port: state.port,
  token: covered ?? state.token,
  ...(state.observerToken === undefined ? {} : { observerToken: covered ?? state.observerToken }),
  startedAt: state.startedAt,
  logsPath: state.logsPath,
});
