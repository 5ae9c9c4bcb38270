import type { Context } from '../context.ts';
export const demoCommand = async (_ctx: Context, _words: readonly string[]): Promise<number> => 1;
