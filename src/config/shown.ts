import { defaultOf, KEYS, keyRow, pathOf, typeOf, valueAt } from './keys.ts';
import { isLayer, type Layer, setAt } from './layer.ts';
import type { Resolved } from './load.ts';
import type { Config } from './schema.ts';
import { covered, redacted } from './secrets.ts';
import { toolRules } from './tool-rules.ts';

/** What holds for a key, a kept key's default included. */
export const effective = (config: Config, key: string): unknown => valueAt(config, key) ?? defaultOf(key);

/** The whole configuration with the defaults of kept keys in it and its secrets covered, as `config list --json` has it. */
export const listed = (config: Config): Layer => {
  const whole = structuredClone(config) as Layer;
  for (const { key, kept } of KEYS) {
    const standard = kept && valueAt(whole, key) === undefined ? defaultOf(key) : undefined;
    if (standard !== undefined) setAt(whole, pathOf(key), standard);
  }
  return redacted(whole) as Layer;
};

/** Every key that says something worth a line: those that are read here, tools with a rule of their own, and kept keys that somebody set. */
export const listedKeys = ({ config, sourceOf }: Resolved): string[] => [
  ...KEYS.filter(({ key, kept }) => !kept || sourceOf(key).kind !== 'default').map((row) => row.key),
  ...toolRules(config.permissions).map(({ tool }) => `permissions.${tool}`),
];

/** The bare text of a value, as scripts read it. */
export const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);

/** Whether this is the name of a section, such as `connection`. */
export const isSection = (key: string): boolean => KEYS.some((row) => row.key.startsWith(`${key}.`));

/** What is worth saying to whoever sets this key; null: nothing. */
export const noteOn = (key: string): string | null => {
  const row = keyRow(key);
  if (row?.kept) return `${key}: kept for scripts. ${row.text}`;
  const tool = key.startsWith('permissions.') && defaultOf(key) === undefined;
  return tool ? `${key}: no tool here has this name; the rule counts for one that has it` : null;
};

/** Whether the daemon reads this key when it starts, and not when it is used. */
export const isReadAtStart = (key: string): boolean =>
  !keyRow(key)?.kept && /^(?:connection|permissions|engine|safety|daemon|background|hostPolicy)(?:\.|$)/.test(key);

/** All that there is to say of one key. */
export const explained = ({ config, sourceOf }: Resolved, key: string) => {
  const { text = '', env = null, alsoEnv, project = 'never', kept = false } = keyRow(key) ?? {};
  return {
    key,
    value: covered(key, effective(config, key)) ?? null,
    source: sourceOf(key),
    default: defaultOf(key) ?? null,
    type: typeOf(key),
    description: text,
    env: alsoEnv === undefined ? env : `${env}, ${alsoEnv}`,
    project,
    ...(kept ? { kept } : {}),
  };
};

/** A value for people, on one line. */
export const shown = (value: unknown): string => {
  if (value === undefined || value === null) return '(not set)';
  if (typeof value === 'string') return value || '(empty)';
  return isLayer(value) && Object.keys(value).length === 0 ? '(none)' : JSON.stringify(value);
};

const PROJECT_MAY = {
  counts: 'a project may set it',
  trusted: 'counts once its file is trusted',
  narrows: 'deny rules of a project always count, others once its file is trusted',
  never: 'a project cannot set it',
} as const;

/** The same for people. */
export const explanation = (of: ReturnType<typeof explained>): string =>
  [
    `${of.key} = ${shown(of.value)}`,
    `  ${of.description}`,
    `  from     ${of.source.kind}${of.source.from === null ? '' : ` (${of.source.from})`}`,
    `  default  ${shown(of.default)}`,
    `  type     ${of.type}`,
    `  env      ${of.env ?? '(none)'}`,
    `  project  ${PROJECT_MAY[of.project]}`,
  ].join('\n');
