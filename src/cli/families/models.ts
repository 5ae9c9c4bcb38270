import type { Family } from './family.ts';

/** `opta models`, `embed`, `rerank` and `serve`. */
export const addModels: Family = () => undefined;
