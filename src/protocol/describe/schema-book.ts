import { z } from 'zod';
import { NAMES } from './names.ts';

export type Json = { [member: string]: unknown };
type Direction = 'input' | 'output';

/**
 * The schemas of one document, each under one name. What a client sends is described as it goes in, what the daemon sends as it
 * comes out; where the two differ for one name, the first has `Input` after it.
 *
 * An object that the daemon sends may get further members in a later release, so none is closed, unless its schema is strict.
 */
export class SchemaBook {
  readonly #schemas = new Map<string, Json>();
  readonly #known = { input: new Map<z.ZodType, Json>(), output: new Map<z.ZodType, Json>() };

  /** Its schema, or a reference when it has a name. Throws for a type that JSON Schema cannot say. */
  of(schema: z.ZodType, direction: Direction): Json {
    const known = this.#known[direction].get(schema);
    if (known) return known;
    const { $defs = {}, $schema: _, ...json } = convert(schema, direction);
    const renamed = new Map<string, string>();
    for (const [name, def] of Object.entries($defs as { [name: string]: Json })) {
      renamed.set(name, this.#place(name, def, direction));
    }
    const described = referring(json, renamed) as Json;
    this.#known[direction].set(schema, described);
    return described;
  }

  /** The same under this name, unless it has one already or is no object. */
  named(name: string, schema: z.ZodType, direction: Direction): Json {
    const json = this.of(schema, direction);
    const hasMembers = Object.keys((json.properties as object | undefined) ?? {}).length > 0 || 'oneOf' in json;
    return hasMembers && !('$ref' in json) ? this.add(name, json) : json;
  }

  add(name: string, json: Json): Json {
    this.#schemas.set(name, json);
    return refTo(name);
  }

  /** A value in a URL or a header, which is text: a number is described as one. */
  parameter(schema: z.ZodType): Json {
    const json = this.of(schema, 'input');
    if (json.type !== 'string') return json;
    const read = convert(schema, 'output', 'any');
    return read.type === 'integer' || read.type === 'number' ? read : json;
  }

  /** What a reference leads to; anything else is itself. */
  resolve(json: Json): Json {
    const { $ref } = json;
    if (typeof $ref !== 'string') return json;
    const found = this.#schemas.get($ref.slice(PLACE.length));
    if (!found) throw new Error(`${$ref} leads nowhere`);
    return this.resolve(found);
  }

  /** By name. */
  all(): Json {
    return Object.fromEntries([...this.#schemas].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #place(name: string, def: Json, direction: Direction): string {
    const known = this.#schemas.get(name);
    const json = referring(def, new Map()) as Json;
    const place =
      known === undefined || same(known, json) ? name : `${name}${direction === 'input' ? 'Input' : 'Output'}`;
    this.#schemas.set(place, json);
    return place;
  }
}

const PLACE = '#/components/schemas/';
export const refTo = (name: string): Json => ({ $ref: `${PLACE}${name}` });

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

const convert = (schema: z.ZodType, io: Direction, unrepresentable: 'throw' | 'any' = 'throw'): Json => {
  const json = z.toJSONSchema(schema, {
    io,
    unrepresentable,
    metadata: NAMES,
    override: ({ zodSchema, jsonSchema }) => {
      const { def } = zodSchema._zod;
      if (def.type === 'object' && def.catchall === undefined) delete jsonSchema.additionalProperties;
      // The library's own word for a check that its pattern says.
      if (jsonSchema.pattern !== undefined && /_with$|^includes$|case$|^regex$/.test(jsonSchema.format ?? '')) {
        delete jsonSchema.format;
      }
      if (def.type === 'record') delete jsonSchema.propertyNames;
      // Every number of JavaScript that is whole is within these: they say nothing.
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  return json as Json;
};

/** Its references as those of a document. */
const referring = (json: unknown, renamed: ReadonlyMap<string, string>): unknown => {
  if (Array.isArray(json)) return json.map((item) => referring(item, renamed));
  if (typeof json !== 'object' || json === null) return json;
  const { $ref, ...rest } = json as Json;
  const members = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, referring(value, renamed)]));
  if (typeof $ref !== 'string') return '$ref' in json ? { ...members, $ref } : members;
  const name = /^#\/\$defs\/(?!__)(.+)$/.exec($ref)?.[1];
  if (name === undefined) throw new Error('A schema that holds itself needs a name in src/protocol/describe/names.ts');
  const ref = refTo(renamed.get(name) ?? name);
  // AsyncAPI passes over what stands beside a reference.
  return Object.keys(members).length === 0 ? ref : { ...members, allOf: [ref] };
};
