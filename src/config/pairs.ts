import { isLayer, type Layer } from './layer.ts';

/** A table as text: JSON, or `name=value` pairs between commas, semicolons or line ends. Undefined for anything else. */
export const pairs = (text: string): Layer | undefined => {
  const trimmed = text.trim();
  if (trimmed.startsWith('{')) {
    try {
      const value = JSON.parse(trimmed) as unknown;
      return isLayer(value) ? value : undefined;
    } catch {
      // Neither JSON nor pairs.
      return undefined;
    }
  }
  const table = new Map<string, string>();
  for (const part of trimmed.split(/[,;\n]/)) {
    if (part.trim() === '') continue;
    // A key may hold `=` itself, as base64 does.
    const [, name, value] = /^\s*([^=\s]+)\s*=\s*(\S+)\s*$/.exec(part) ?? [];
    if (name === undefined || value === undefined) return undefined;
    table.set(name, value);
  }
  return Object.fromEntries(table);
};
