import { statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { Clock, Log } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import type { Engine, EngineKind } from './engine.ts';
import { createDemoEngine } from './engines/demo.ts';
import { createLlamaCpp } from './engines/llama-cpp.ts';
import { findLlamaCpp, installCommand } from './engines/llama-cpp-library.ts';
import { readScript } from './engines/script-file.ts';
import { createScriptedEngine } from './engines/scripted.ts';
import { createUpstream } from './engines/upstream.ts';

/** What a person chose on the command line. */
export interface EngineChoice {
  kind: EngineKind;
  /** Names, or files where the engine loads files. */
  models: readonly string[];
  /** The upstream's. */
  url?: string;
  urlKey?: string;
  loopbackOnly: boolean;
  /** The text of the script. */
  script?: string;
  /** Where node-llama-cpp may be; the first is where the advice says to install it. */
  llamaCppFolders: readonly string[];
  contextLength?: number;
  threads?: number;
  /** Of an answer whose caller names no bound. */
  maxTokens?: number;
  gpu?: boolean;
  /** Answers at once. */
  slots?: number;
}

export interface ChosenEngine {
  engine: Engine;
  /** To be loaded before the server is called ready. */
  load: string[];
  /** What `auto` means. */
  defaultModel?: string;
}

/** Throws `invalid-request` for what does not fit together. Starts nothing that holds a model. */
export const chooseEngine = (choice: EngineChoice, world: { clock: Clock; log: Log }): ChosenEngine => {
  const { kind, models } = choice;
  const [first] = models;
  switch (kind) {
    case 'demo':
      return { engine: createDemoEngine(world), load: ['demo'] };
    case 'scripted': {
      if (choice.script === undefined) throw wrong('The scripted engine needs its script: --script FILE');
      const script = readScript(choice.script);
      const warm = script.models.filter((m) => !m.cold).map((m) => m.id);
      return {
        engine: createScriptedEngine({ clock: world.clock, ...script }),
        load: [...new Set([...warm, ...models])],
        ...(first === undefined ? {} : { defaultModel: first }),
      };
    }
    case 'upstream': {
      if (choice.url === undefined) throw wrong('The upstream engine needs an address: --url http://127.0.0.1:8080');
      const { host, port } = upstreamPlace(choice.url);
      const { urlKey, loopbackOnly } = choice;
      return {
        // Whoever names an address on the command line vouches for it.
        engine: createUpstream(
          { host, port, loopbackOnly, trusted: true, ...(urlKey === undefined ? {} : { apiKey: urlKey }) },
          world,
        ),
        load: [],
        ...(first === undefined ? {} : { defaultModel: first }),
      };
    }
    case 'llama-cpp':
      return llamaCpp(choice, world);
  }
};

/** Throws `not-found` for a file that is not there, and `no-model-loaded` with the next command while the library is missing. */
const llamaCpp = (choice: EngineChoice, world: { clock: Clock; log: Log }): ChosenEngine => {
  const { llamaCppFolders, contextLength, maxTokens, threads, gpu, slots } = choice;
  const models = choice.models.map(modelFile);
  const [first] = models;
  if (first === undefined) throw wrong('The llama-cpp engine needs a model: --model FILE.gguf');
  const twice = models.find((m, i) => models.findIndex((other) => other.id === m.id) !== i);
  if (twice) throw wrong(`Two models are called ${twice.id}. Another name for one of them: --model NAME=FILE.gguf`);
  const library = findLlamaCpp(llamaCppFolders);
  if (library === null) {
    const bring = installCommand(llamaCppFolders[0] ?? '.');
    throw new OptaError(
      'no-model-loaded',
      `opta lmx serve needs a library for model files, which is not installed: ${bring}`,
    );
  }
  const engine = createLlamaCpp(
    {
      module: library.module,
      models,
      ...(contextLength === undefined ? {} : { contextLength }),
      ...(maxTokens === undefined ? {} : { maxTokens }),
      ...(threads === undefined ? {} : { threads }),
      ...(gpu === undefined ? {} : { gpu }),
      ...(slots === undefined ? {} : { sequences: slots }),
    },
    world,
  );
  return { engine, load: models.map((m) => m.id), defaultModel: first.id };
};

/** `FILE.gguf`, which is called as its file, or `NAME=FILE.gguf`. */
const modelFile = (text: string): { id: string; file: string } => {
  const [, name, path = text] = /^([\w.:@/-]{1,256})=(.+)$/.exec(text) ?? [];
  const file = resolve(path);
  if (!statSync(file, { throwIfNoEntry: false })?.isFile())
    throw new OptaError('not-found', `There is no model file ${file}`);
  return { id: name ?? basename(file).replace(/\.gguf$/i, ''), file };
};

/** `http://host:port`, with `/v1` or without. */
export const upstreamPlace = (text: string): { host: string; port: number } => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== 'http:' || url.username !== '' || url.search !== '' || !/^\/(v1\/?)?$/.test(url.pathname))
    throw wrong(`--url is the address of a server, such as http://127.0.0.1:8080, not ${JSON.stringify(text)}`);
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || '80') };
};

const wrong = (message: string): OptaError => new OptaError('invalid-request', message);
