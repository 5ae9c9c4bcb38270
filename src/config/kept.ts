import { z } from 'zod';

/**
 * [CF6] Keys of the older program that scripts set and that nothing here reads. They are checked, stored, listed and taken over like
 * any other, so that a script goes on; whoever sets one is told that it has no effect.
 */
export interface KeptRow {
  key: string;
  type: z.ZodType;
  /** What the older program took it to be when nobody said; undefined: nothing. */
  standard?: unknown;
  /** What a person does instead, or why it means nothing here. */
  instead?: string;
  /** Whatever stands below it is a key too. */
  open?: true;
}

const flag = z.boolean();
const text = z.string().max(4_096);
const list = z.array(z.string().min(1).max(1_024)).max(1_000);
const object = z.record(z.string().min(1).max(255), z.unknown());
const whole = (min: number, max = 1_000_000_000) => z.number().int().min(min).max(max);
const number = (min: number, max = 1_000_000_000) => z.number().min(min).max(max);

const section = (
  name: string,
  rows: [leaf: string, type: z.ZodType, standard?: unknown][],
  instead?: string,
): KeptRow[] =>
  rows.map(([leaf, type, standard]) => ({
    key: name === '' ? leaf : `${name}.${leaf}`,
    type,
    ...(standard === undefined ? {} : { standard }),
    ...(instead === undefined ? {} : { instead }),
    ...(type === object ? { open: true as const } : {}),
  }));

const PROVIDER_ID = z.string().regex(/^[a-z][a-z0-9_-]{0,63}$/, 'must be the name of a provider');
const CUSTOM_PROVIDER = z.strictObject({
  id: PROVIDER_ID,
  protocol: z.enum(['openai-compatible', 'anthropic-compatible']),
  baseURL: z.string().min(1).max(2_048),
  apiKeyEnvVar: z.string().max(128).optional(),
});

const provider = (name: string, model: string): KeptRow[] =>
  section(`provider.${name}`, [
    ['apiKey', text, ''],
    ['model', text, model],
  ]);

const RULES = 'what tools may do is said by permissions alone';

export const KEPT: readonly KeptRow[] = [
  ...section('connection', [['protocol', z.literal('http'), 'http']]),
  ...section('connection', [['autoDiscover', flag, true]], 'no host that is not named ever answers'),
  ...section('connection', [['apiKeySource', z.enum(['manual', 'cloud-synced', 'keychain'])]]),
  ...section(
    'connection.ssh',
    [
      ['user', text, 'opta'],
      ['identityFile', text, '~/.ssh/id_ed25519'],
      ['connectTimeoutSec', number(3, 120), 20],
      ['lmxPath', text],
      ['pythonPath', text],
    ],
    'the inference host is reached over its API alone',
  ),
  ...section('connection.retry', [['backoffMultiplier', number(1, 10), 2]], 'each pause is twice the one before'),
  ...section('model', [
    ['favourites', list, []],
    ['groups', z.array(z.unknown()).max(1_000)],
  ]),
  ...section(
    'provider',
    [
      ['active', PROVIDER_ID, 'lmx'],
      ['fallbackOnFailure', flag, false],
      ['customProviders', z.array(CUSTOM_PROVIDER).max(100), []],
    ],
    'every prompt goes to the configured inference host',
  ),
  ...provider('anthropic', 'claude-3-7-sonnet-latest'),
  ...provider('gemini', 'gemini-2.5-pro'),
  ...provider('openai', 'gpt-4o'),
  ...provider('opencode_zen', 'opencode-zen-1'),
  ...section('safety', [['maxToolCalls', whole(0), 30]]),
  ...section(
    'safety.circuitBreaker',
    [
      ['warnAt', whole(0), 20],
      ['pauseAt', whole(0), 40],
      ['hardStopAt', whole(0), 100],
      ['perToolLimit', whole(0), 0],
      ['maxDuration', whole(0), 0],
      ['silentBehavior', z.enum(['stop', 'warn-and-continue', 'error'])],
    ],
    'a turn is bounded by itself: 400 tool calls, one hour',
  ),
  ...section(
    'autonomy',
    [
      ['level', whole(1, 5), 2],
      ['mode', z.enum(['execution', 'ceo']), 'execution'],
      ['enforceProfile', flag, true],
      ['objectiveReassessment', flag, true],
      ['requireLiveData', flag, false],
      ['reportStyle', z.enum(['standard', 'executive']), 'standard'],
      ['headlessContinue', flag, false],
    ],
    RULES,
  ),
  ...section(
    'policy',
    [
      ['enabled', flag, true],
      ['mode', z.literal('full'), 'full'],
      ['gateAllAutonomy', flag, true],
      ['failureMode', z.enum(['closed', 'degraded-safe', 'open']), 'closed'],
      ['requireApprovalForModeSwitch', flag, true],
      ['runtimeEnforcement.enabled', flag, false],
      ['runtimeEnforcement.endpoint', text],
      ['runtimeEnforcement.timeoutMs', whole(100, 30_000), 2_500],
      ['runtimeEnforcement.failOpen', flag, true],
      ['runtimeEnforcement.applyTo.dangerous', flag, true],
      ['runtimeEnforcement.applyTo.highRiskWrites', flag, true],
      ['audit.enabled', flag, true],
      ['audit.path', text, '.opta/policy/audit.jsonl'],
      ['audit.redactSecrets', flag, true],
    ],
    RULES,
  ),
  ...section('daemon', [['lanExpose', flag, false]], 'the daemon listens on loopback alone'),
  ...section(
    'background',
    [['killOnSessionEnd', flag, true]],
    'processes end with their session; at a restart, see background.onRestart',
  ),
  ...section('lsp', [
    ['enabled', flag, true],
    ['servers', object, {}],
    ['timeout', whole(0), 10_000],
  ]),
  ...section('subAgent', [
    ['enabled', flag, true],
    ['maxDepth', whole(0), 2],
    ['maxConcurrent', whole(0), 3],
    ['defaultBudget.maxToolCalls', whole(0), 15],
    ['defaultBudget.maxTokens', whole(0), 8_192],
    ['defaultBudget.timeoutMs', whole(0), 60_000],
    ['inheritMode', flag, true],
  ]),
  ...section(
    'journal',
    [
      ['enabled', flag, true],
      ['sessionLogsDir', text, '12-Session-Logs'],
      ['updateLogsDir', text, 'updates'],
      ['author', text],
      ['timezone', text, 'local'],
    ],
    'no files are written into your folders by themselves; opta sessions export',
  ),
  ...section('tui', [
    ['triggerModes', z.array(z.unknown()).max(100)],
    ['skillRuntime', object],
    ['responseIntentTone', z.enum(['concise', 'technical', 'product'])],
  ]),
  ...section('reports', [
    ['enabled', flag, true],
    ['autoOpen', flag, true],
    ['outputDir', text, '.opta/reports'],
    ['threshold.toolCalls', whole(1, 500), 15],
    ['threshold.elapsedSeconds', number(10, 3_600), 120],
  ]),
  ...section('', [
    ['search.searxngUrl', text],
    ['insights.enabled', flag, true],
    ['context.exportMap', flag, true],
    // Whole sections of features that are not part of this: what stands in them is not looked at.
    ['research', object],
    ['browser', object],
    ['learning', object],
    ['computerControl', object],
    ['atpo', object],
    ['genui', object],
  ]),
];

export const keptRow = (key: string): KeptRow | undefined => KEPT.find((row) => row.key === key);

/** The members that the table gives to a section of the schema; '' is the top. Each may be absent. */
export const keptIn = (name: string): Record<never, z.ZodType> => {
  const prefix = name === '' ? '' : `${name}.`;
  const shape: { [member: string]: z.ZodType } = {};
  for (const { key, type } of KEPT) {
    if (!key.startsWith(prefix)) continue;
    const [member, ...deeper] = key.slice(prefix.length).split('.') as [string, ...string[]];
    if (deeper.length === 0) shape[member] = type.optional();
    else shape[member] ??= z.strictObject(keptIn(`${prefix}${member}`)).optional();
  }
  return shape;
};
