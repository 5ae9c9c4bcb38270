import { type DaemonState, isAlive, readDaemonState } from '../../client/daemon-state.ts';
import { requireDaemon } from '../../client/discover.ts';
import { daemonHttp } from '../../client/http.ts';
import { authority, type DaemonAddress } from '../../client/platform.ts';
import { OptaError } from '../../protocol/errors.ts';
import { type Context, daemonOf } from '../context.ts';
import { EXIT } from '../exit.ts';
import { oneLine } from '../output.ts';
import { type FindDaemon, startRelay } from '../relay.ts';

export interface ServerOptions {
  host: string;
  port: number;
  model?: string;
}

/**
 * The HTTP API on a port of its own, in the foreground, for scripts from before the daemon. Behind it is the one daemon of this
 * user, started if need be; this process keeps nothing and writes no state, so it can take nothing from a daemon that runs.
 */
export const serverCommand = async (ctx: Context, { host, port, model }: ServerOptions): Promise<number> => {
  const stopped = signalled();
  // First the port: nothing should be started for a server that cannot be.
  // An old script's tools worked in the folder in which its server was started.
  const relay = await startRelay(host, port, finder(ctx), { 'opta-default-workspace': encodeURI(ctx.cwd) });
  const begin = async (): Promise<NodeJS.Signals> => {
    const { state } = await daemonOf(ctx, model === undefined ? {} : { model });
    const serves = await modelOf(state, model);
    ctx.output.out(banner(ctx, { host, port: relay.port, model: serves, daemon: state }));
    return stopped.signal;
  };
  try {
    const signal = await Promise.race([stopped.signal, begin()]);
    ctx.output.err('\nopta server stopped. The daemon goes on: opta daemon stop\n');
    return signal === 'SIGINT' ? EXIT.interrupted : EXIT.ok;
  } finally {
    stopped.dispose();
    await relay.close();
  }
};

/**
 * Where the daemon is, looked up anew when the one that was found is gone: its port may be somebody else's by then, and requests
 * have the token in them.
 */
const finder = (ctx: Context): FindDaemon => {
  const { stateFile } = ctx.paths;
  let known: DaemonState | undefined;
  const holds = (): boolean => {
    const now = readDaemonState(stateFile);
    return now !== null && now !== 'unreadable' && now.daemonId === known?.daemonId && isAlive(now.pid);
  };
  return async (again) => {
    if (again || known === undefined || !holds()) known = await requireDaemon(stateFile);
    return known;
  };
};

/** The model of a new session. Throws when none would be: an old script gets no answer from a model that it did not ask for. */
const modelOf = async (state: DaemonAddress, wanted: string | undefined): Promise<string> => {
  const http = daemonHttp(state);
  try {
    const { model } = await http.call('health');
    if (wanted !== undefined && wanted !== model) {
      throw new OptaError(
        'daemon-already-running',
        `A daemon runs already, and its model is ${model === '' ? 'whichever is loaded' : oneLine(model)}. To change it: opta daemon restart --model ${wanted}`,
      );
    }
    if (model !== '') return model;
    const { models } = await http.call('lmx.models').catch(noModel);
    return models[0]?.model_id ?? noModel();
  } finally {
    http.close();
  }
};

const noModel = (cause?: unknown): never => {
  const why = cause instanceof OptaError ? ` (${cause.message})` : '';
  throw new OptaError(
    'no-model-loaded',
    `No model is configured, and the inference host names none${why}. Name one: opta server -m <model>, or opta config set model.default <model>`,
  );
};

interface Serving {
  host: string;
  port: number;
  model: string;
  daemon: DaemonAddress;
}

const banner = (ctx: Context, { host, port, model, daemon }: Serving): string => {
  const url = `http://${authority({ host, port })}`;
  const rows = [
    `opta server on ${url}`,
    `  model      ${oneLine(model)}`,
    `  daemon     http://${authority(daemon)}`,
    `  endpoints  GET ${url}/health`,
    `             POST ${url}/v1/chat`,
    `             ${url}/v3/*`,
    `  token      Authorization: Bearer $(cat ${shellWord(ctx.paths.tokenFile)})`,
    '  Ctrl+C to stop',
  ];
  return `${rows.join('\n')}\n`;
};

/** As it can be pasted into a shell. */
export const shellWord = (text: string): string =>
  /^[\w./~-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** The first signal that asks this process to end; a second one ends it at once. */
const signalled = (): { signal: Promise<NodeJS.Signals>; dispose(): void } => {
  const names: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  let on: (name: NodeJS.Signals) => void = () => undefined;
  const signal = new Promise<NodeJS.Signals>((resolve) => {
    let seen = 0;
    on = (name) => {
      seen += 1;
      if (seen > 1) process.exit(EXIT.interrupted);
      resolve(name);
    };
  });
  for (const name of names) process.on(name, on);
  return {
    signal,
    dispose: () => {
      for (const name of names) process.removeListener(name, on);
    },
  };
};
