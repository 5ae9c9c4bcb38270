import { type ChildProcess, fork } from 'node:child_process';
import { stat, unlink } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Clock, Log } from '../../actors/ports.ts';
import type {
  AvailableModel,
  Engine,
  EngineListener,
  GenerateEvents,
  GenerateRequest,
  Generation,
  LoadedFacts,
} from '../engine.ts';
import { type LmxDone, LmxError } from '../errors.ts';
import type { FromChild, ToChild } from './llama-cpp-words.ts';

export interface LlamaCppConfig {
  /** The library's entry file (`findLlamaCpp`). */
  module: string;
  models: readonly { id: string; file: string }[];
  /** Tokens for each answer; the model's own, up to 8,192, without it. */
  contextLength?: number;
  /** Threads that compute. On two cores one is many times as fast as two, which wait for each other. */
  threads?: number;
  gpu?: boolean;
  /** Tokens of an answer whose caller names no bound. */
  maxTokens?: number;
  /** Answers that one model makes at once. */
  sequences?: number;
  /** A process that says nothing for this long hangs, in milliseconds. */
  silentMs?: number;
}

const SILENT_MS = 20_000;
/** What the end of a cancelled answer may take before its process is taken for hanging. */
const CANCEL_MS = 10_000;
const STDERR_CHARS_MAX = 2_000;

/** llama.cpp by way of node-llama-cpp, each model in a process of its own: a crash takes that model and nothing else. */
export const createLlamaCpp = (config: LlamaCppConfig, world: { clock: Clock; log: Log }): Engine =>
  new LlamaCpp(config, world);

class LlamaCpp implements Engine {
  readonly kind = 'llama-cpp';
  readonly manages = true;
  readonly parallel: number;
  readonly #config: LlamaCppConfig;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #processes = new Map<string, ModelProcess>();
  #listener: EngineListener | null = null;

  constructor(config: LlamaCppConfig, { clock, log }: { clock: Clock; log: Log }) {
    this.#config = config;
    this.#clock = clock;
    this.#log = log;
    this.parallel = config.sequences ?? 1;
  }

  available(done: LmxDone<AvailableModel[] | null>): void {
    const { models } = this.#config;
    const found: AvailableModel[] = [];
    let open = models.length;
    if (open === 0) return this.#clock.soon(() => done(null, []));
    for (const { id, file } of models)
      stat(file, (error, facts) => {
        if (!error) found.push({ id, path: file, sizeBytes: facts.size, modifiedAt: facts.mtimeMs });
        open--;
        if (open === 0)
          done(
            null,
            models.flatMap((m) => found.filter((f) => f.id === m.id)),
          );
      });
  }

  load(modelId: string, options: { contextLength?: number }, done: LmxDone<LoadedFacts | null>): void {
    const model = this.#config.models.find((m) => m.id === modelId);
    if (!model) {
      const named = this.#config.models.map((m) => m.id).join(', ') || 'none';
      return this.#clock.soon(() =>
        done(new LmxError('model_not_found', `There is no model ${modelId} here; named at the start: ${named}`), null),
      );
    }
    const {
      module,
      contextLength,
      maxTokens = null,
      gpu = false,
      sequences = 1,
      silentMs = SILENT_MS,
      threads = defaultThreads(),
    } = this.#config;
    const child = new ModelProcess(this.#clock, this.#log, silentMs, (reason) => {
      if (this.#processes.get(modelId) !== child) return;
      this.#processes.delete(modelId);
      this.#listener?.lost(modelId, reason);
    });
    this.#processes.set(modelId, child);
    const wanted = options.contextLength ?? contextLength ?? null;
    child.load(
      { say: 'load', module, file: model.file, contextLength: wanted, threads, gpu, sequences, maxTokens },
      (error, facts) => {
        if (error && this.#processes.get(modelId) === child) {
          this.#processes.delete(modelId);
          child.end();
        }
        done(error, facts);
      },
    );
  }

  unload(modelId: string, done: LmxDone<null>): void {
    const child = this.#processes.get(modelId);
    this.#processes.delete(modelId);
    if (child) child.end(() => done(null, null));
    else this.#clock.soon(() => done(null, null));
  }

  remove(modelId: string, done: LmxDone<{ freedBytes: number } | null>): void {
    const model = this.#config.models.find((m) => m.id === modelId);
    if (!model)
      return this.#clock.soon(() => done(new LmxError('model_not_found', `There is no model ${modelId} here.`), null));
    stat(model.file, (error, facts) => {
      if (error) return done(new LmxError('model_not_found', `The file of ${modelId} is not there.`), null);
      unlink(model.file, (failed) =>
        failed
          ? done(new LmxError('internal_error', `The file of ${modelId} was not deleted: ${failed.message}`), null)
          : done(null, { freedBytes: facts.size }),
      );
    });
  }

  generate(request: GenerateRequest, on: GenerateEvents): Generation {
    const child = this.#processes.get(request.model);
    if (child) return child.generate(request, on);
    this.#clock.soon(() =>
      on.fail(new LmxError('engine_unavailable', `The process of ${request.model} is not there.`)),
    );
    return { cancel: () => undefined, pause: () => undefined, resume: () => undefined };
  }

  kill(modelId: string, reason: string): void {
    this.#processes.get(modelId)?.kill(reason);
  }

  listen(listener: EngineListener): void {
    this.#listener = listener;
  }

  facts() {
    const { threads = defaultThreads(), gpu = false } = this.#config;
    return { threads, gpu, processes: [...this.#processes].map(([model, p]) => ({ model, pid: p.pid ?? null })) };
  }

  close(done: () => void): void {
    const all = [...this.#processes.values()];
    this.#processes.clear();
    let open = all.length;
    if (open === 0) return this.#clock.soon(done);
    for (const child of all)
      child.end(() => {
        open--;
        if (open === 0) done();
      });
  }
}

const defaultThreads = (): number => Math.max(1, availableParallelism() > 2 ? availableParallelism() - 1 : 1);

interface Live {
  on: GenerateEvents;
  /** Set when it was cancelled: what follows is nobody's. */
  late: unknown;
}

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
/** From source the child needs the same loader as we do. */
const loader = (): string[] =>
  EXTENSION === '.ts' ? ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href] : [];

/** No key and no proxy of the server's environment reaches the library. */
const environment = (): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
  LANG: process.env.LANG ?? 'C.UTF-8',
  HOME: process.env.HOME ?? '/',
});

class ModelProcess {
  readonly pid: number | undefined;
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #silentMs: number;
  readonly #lost: (reason: string) => void;
  readonly #live = new Map<number, Live>();
  #loading: LmxDone<LoadedFacts | null> | null = null;
  #ended: (() => void)[] = [];
  #isGone = false;
  #isWanted = true;
  #reason: string | null = null;
  #stderr = '';
  #ids = 0;
  #heardAt: number;
  #beat: unknown;

  constructor(clock: Clock, log: Log, silentMs: number, lost: (reason: string) => void) {
    this.#silentMs = silentMs;
    this.#clock = clock;
    this.#log = log;
    this.#lost = lost;
    this.#heardAt = clock.now();
    this.#child = fork(fileURLToPath(new URL(`./llama-cpp-child${EXTENSION}`, import.meta.url)), [], {
      env: environment(),
      execArgv: loader(),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.pid = this.#child.pid;
    this.#child.on('message', (word) => this.#hear(word as FromChild));
    this.#child.on('error', (error) => this.#over(`cannot be used: ${error.message}`));
    this.#child.on('exit', (code, signal) => this.#over(this.#reason ?? `ended with ${signal ?? `exit code ${code}`}`));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARS_MAX);
    });
    this.#ping(0);
  }

  load(word: ToChild & { say: 'load' }, done: LmxDone<LoadedFacts | null>): void {
    this.#loading = done;
    this.#say(word);
  }

  generate(request: GenerateRequest, on: GenerateEvents): Generation {
    const id = ++this.#ids;
    // Throws for a request that is nested too deeply for the line to the process.
    this.#say({ say: 'generate', id, request });
    this.#live.set(id, { on, late: null });
    if (this.#isGone) this.#clock.soon(() => this.#take(id)?.on.fail(died('is gone')));
    return {
      cancel: () => this.#cancel(id),
      // The library computes on whatever happens; what it says meanwhile is bounded by the context.
      pause: () => undefined,
      resume: () => undefined,
    };
  }

  kill(reason: string): void {
    this.#reason ??= reason;
    this.#child.kill('SIGKILL');
  }

  /** Nobody wants it any more. Its memory is free when `done` is called. */
  end(done?: () => void): void {
    this.#isWanted = false;
    if (this.#isGone) return done && this.#clock.soon(done);
    if (done) this.#ended.push(done);
    // It holds nothing that is not on the disk already.
    this.kill('was not wanted any more');
  }

  #cancel(id: number): void {
    const live = this.#live.get(id);
    if (!live || live.late !== null) return;
    live.late = this.#clock.setTimeout(() => this.kill('did not stop an answer that was cancelled'), CANCEL_MS);
    this.#say({ say: 'cancel', id });
  }

  /** The answer that is over, unless it was cancelled. */
  #take(id: number): Live | null {
    const live = this.#live.get(id);
    if (!live) return null;
    this.#live.delete(id);
    if (live.late === null) return live;
    this.#clock.clearTimeout(live.late);
    return null;
  }

  #hear(word: FromChild): void {
    this.#heardAt = this.#clock.now();
    switch (word.say) {
      case 'loaded':
        return this.#loadedWith(null, { contextLength: word.contextLength, memoryBytes: word.memoryBytes });
      case 'load-failed':
        return this.#loadedWith(new LmxError(word.code, word.message), null);
      case 'text':
        return this.#listener(word.id)?.text(word.text);
      case 'reasoning':
        return this.#listener(word.id)?.reasoning(word.text);
      case 'call':
        return this.#listener(word.id)?.call(word.delta);
      case 'end': {
        const { finishReason, usage, trimmed } = word;
        return this.#take(word.id)?.on.end({ finishReason, usage, trimmed });
      }
      case 'fail':
        return this.#take(word.id)?.on.fail(new LmxError(word.code, word.message));
      case 'cancelled':
        this.#take(word.id);
    }
  }

  #listener(id: number): GenerateEvents | null {
    const live = this.#live.get(id);
    return live && live.late === null ? live.on : null;
  }

  #loadedWith(error: LmxError | null, facts: LoadedFacts | null): void {
    const done = this.#loading;
    this.#loading = null;
    done?.(error, facts);
  }

  #ping(n: number): void {
    this.#beat = this.#clock.setTimeout(() => {
      // A load may keep it from speaking for as long as the gateway lets it.
      if (this.#loading === null && this.#clock.now() - this.#heardAt > this.#silentMs)
        return this.kill('does not answer');
      this.#say({ say: 'ping', n });
      this.#ping(n + 1);
    }, this.#silentMs / 4);
  }

  #say(word: ToChild): void {
    if (this.#isGone || !this.#child.connected) return;
    this.#child.send(word, (error) => {
      if (error && !this.#isGone) this.kill(`cannot be reached: ${error.message}`);
    });
  }

  #over(reason: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#clock.clearTimeout(this.#beat);
    if (this.#isWanted)
      this.#log.warn('the process of a model is gone', { pid: this.pid, reason, stderr: this.#stderr });
    for (const id of [...this.#live.keys()]) this.#take(id)?.on.fail(died(reason));
    this.#loadedWith(new LmxError('model_loader_crashed', `The process of the model ${reason}.`), null);
    for (const done of this.#ended.splice(0)) done();
    if (this.#isWanted) this.#lost(`its process ${reason}`);
  }
}

const died = (reason: string) => new LmxError('engine_failed', `The process of the model ${reason}.`);
