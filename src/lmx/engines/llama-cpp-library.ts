import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Functions, HistoryItem } from './llama-cpp-history.ts';

/** The version that this engine is tried with. */
export const LLAMA_CPP_VERSION = '3.22.1';

/** The parts of node-llama-cpp that are used here. It is no dependency: who wants this engine installs it. */
export interface LlamaLibrary {
  getLlama(options: object): Promise<Llama>;
  LlamaChat: new (options: { contextSequence: Sequence }) => LlamaChat;
}
export interface Llama {
  loadModel(options: object): Promise<Model>;
  getGrammarFor(kind: 'json'): Promise<Grammar>;
  createGrammarForJsonSchema(schema: object): Promise<Grammar>;
}
export type Grammar = object;
export interface Model {
  readonly size: number;
  readonly trainContextSize: number;
  readonly tokenizer: unknown;
  createContext(options: object): Promise<{ readonly contextSize: number; getSequence(): Sequence }>;
}
export interface Sequence {
  readonly contextSize: number;
  readonly tokenMeter: { getState(): object; diff(since: object): { usedOutputTokens: number } };
}
export interface LlamaChat {
  readonly chatWrapper: {
    generateContextState(options: { chatHistory: HistoryItem[]; availableFunctions?: Functions }): {
      contextText: { tokenize(tokenizer: unknown): unknown[] };
    };
  };
  generateResponse(
    history: HistoryItem[],
    options: object,
  ): Promise<{
    functionCalls?: { functionName: string; params: unknown }[];
    metadata: { stopReason: string };
  }>;
}

const PLATFORM = `${process.platform === 'darwin' ? 'mac' : process.platform === 'win32' ? 'win' : 'linux'}-${process.arch}`;

/** The one command that brings the engine into `folder`. Without `--omit=optional` it is some ten times as large. */
export const installCommand = (folder: string): string =>
  `npm install --prefix ${folder} --omit=optional node-llama-cpp@${LLAMA_CPP_VERSION} @node-llama-cpp/${PLATFORM}@${LLAMA_CPP_VERSION}`;

/** The library's entry file in one of the folders, the first that has it, or null. */
export const findLlamaCpp = (folders: readonly string[]): { module: string; version: string } | null => {
  for (const folder of folders) {
    const root = join(folder, 'node_modules', 'node-llama-cpp');
    const module = join(root, 'dist', 'index.js');
    if (!existsSync(module)) continue;
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    return { module, version };
  }
  return null;
};
