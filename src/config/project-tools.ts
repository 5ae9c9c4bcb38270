import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { OptaError } from '../protocol/errors.ts';
import { parseLayer, readText } from './layer.ts';

/**
 * A tool that a project brings, one file each in `.opta/tools`: a command, and what a model is told of it. Arguments reach the command in
 * `OPTA_ARGS`, as JSON.
 */
const ToolFileSchema = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9_]{0,47}$/, 'must be a short plain name'),
  description: z.string().min(1).max(4_000),
  /** JSON Schema of an object. */
  parameters: z
    .looseObject({ type: z.literal('object'), required: z.array(z.string()).max(100).optional() })
    .default({ type: 'object' }),
  command: z.string().min(1).max(8_192),
  /** Milliseconds. */
  timeout: z.number().int().min(100).max(600_000).default(30_000),
  network: z.boolean().default(false),
});
export type ProjectTool = z.infer<typeof ToolFileSchema>;

export interface ProjectTools {
  tools: ProjectTool[];
  /** Each file's name and text, for the digest; null: it could not be read. */
  files: [name: string, text: string | null][];
  /** One line each: a file that gives no tool. */
  problems: string[];
}

const FILES_MAX = 10;
const FILE_BYTES_MAX = 64 * 1024;

export const PROJECT_TOOLS = join('.opta', 'tools');

export const readProjectTools = (folder: string): ProjectTools => {
  const found: ProjectTools = { tools: [], files: [], problems: [] };
  const names = jsonFiles(folder);
  for (const name of names.slice(0, FILES_MAX)) {
    const file: ProjectTools['files'][number] = [name, null];
    found.files.push(file);
    try {
      const text = readText(join(folder, name), FILE_BYTES_MAX) ?? '';
      file[1] = text;
      const tool = ToolFileSchema.safeParse(parseLayer(text, name));
      if (!tool.success) throw new OptaError('invalid-request', String(tool.error.issues[0]?.message));
      if (found.tools.some((other) => other.name === tool.data.name))
        throw new OptaError('invalid-request', `another file has the name ${tool.data.name} too`);
      found.tools.push(tool.data);
    } catch (cause) {
      found.problems.push(`${name}: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
  }
  if (names.length > FILES_MAX) found.problems.push(`only the first ${FILES_MAX} files of ${folder} are looked at`);
  return found;
};

const jsonFiles = (folder: string): string[] => {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .sort();
  } catch {
    return [];
  }
};
