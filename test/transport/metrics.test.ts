import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import { family } from '../../src/transport/prometheus.ts';
import { Harness } from '../actors/harness.ts';
import { type MemoryAdapter, memoryAdapter, settle } from './memory-adapter.ts';
import { AUTH, type World, world } from './world.ts';

/**
 * Bounds on the size of one thing, or on how often one thing is tried: they refuse or cut, and hold nothing between two requests.
 * Every other `…Max` is filled by something, so a new one belongs in the gauges or here.
 */
const OF_ONE_THING = new Set([
  'questionCharsMax',
  'optionsMax',
  'optionCharsMax',
  'contentBytesMax',
  'streamRetriesMax',
  'servicesPauseMaxMs',
  'serviceToolsMax',
  'hooksRunningMax',
  'delegatedTasksMax',
  'turnRefitsMax',
  'hooksWaitingMax',
  'hookSaidCharsMax',
  'commitFilesMax',
  'hookEnvCharsMax',
  'projectToolArgsBytesMax',
  'serviceTextCharsMax',
  'serviceSchemaCharsMax',
  'versionsBytesMax',
  'commandsMax',
  'commandCharsMax',
  'commandShownBytesMax',
  'commandOutputBytesMax',
  'outputsBytesMax',
  'turnTokensMax',
  'turnRepeatsMax',
  'turnParallelMax',
  'contextTokensMax',
  'turnCompactionsMax',
  'ruleFileBytesMax',
  'tokenCharsMax',
  'inferenceProbeBytesMax',
  'inferenceHeldBytesMax',
  'inferenceHostFailuresMax',
  'inferenceFrameBytesMax',
  'inferenceRetryAfterMsMax',
  'toolOutputBytesMax',
  'toolArgsBytesMax',
  'toolHeapMbMax',
  'toolPathBytesMax',
  'toolPathDepthMax',
  'toolPathLinksMax',
  'toolEditBytesMax',
  'toolScanBytesMax',
  'toolListEntriesMax',
  'toolWalkEntriesMax',
  'toolMatchesMax',
  'toolHitsMax',
  'toolMatchCharsMax',
  'toolGitBytesMax',
  'toolFetchBytesMax',
  'toolFetchRedirectsMax',
  'readPageRecordsMax',
  'readPageBytesMax',
  'requestBytesMax',
  'frameBytesMax',
  'urlCharsMax',
  'idPathCharsMax',
  'eventsReplyBytesMax',
  'restartBackoffMaxMs',
  'metadataCharsMax',
  'webKeysFileCharsMax',
  'inspectBytesMax',
  'lmxTriesMax',
  'lmxAnswerBytesMax',
  'purgeRecordsMax',
  'searchScanMax',
  'presenceEntriesMax',
  'backgroundOutputCharsMax',
  'backgroundTailCharsMax',
  'requestHeadBytesMax',
]);

let h: Harness;
let w: World;
let adapter: MemoryAdapter;
beforeEach(async () => {
  adapter = memoryAdapter();
  h = new Harness();
  w = await world({ adapter, runtime: h.system });
});
afterEach(() => w.close());

const page = async (): Promise<string> => {
  const asked = adapter.ask('/metrics', AUTH);
  await settle();
  expect([asked.reply?.status, asked.header('content-type')]).toEqual([
    200,
    'text/plain; version=0.0.4; charset=utf-8',
  ]);
  return asked.reply?.body ?? '';
};
const rowsOf = async () => {
  const asked = adapter.ask('/v3/metrics', AUTH);
  await settle();
  return JSON.parse(asked.reply?.body ?? '') as {
    limits: { name: string; value: number; max?: number; limit?: string }[];
    settings: { [name: string]: number };
  };
};
const sample = (text: string, name: string): number => {
  const line = text.split('\n').find((l) => l.startsWith(`${name} `));
  if (line === undefined) throw new Error(`no sample ${name}`);
  return Number(line.split(' ').at(-1));
};

describe('bounds', () => {
  test('[SV3] each is shown: with how full it is, or as a setting, and none as both', async () => {
    const text = await page();
    const { limits, settings } = await rowsOf();
    const filled = limits.flatMap((g) => (g.limit === undefined ? [] : [g.limit]));
    for (const [name, value] of Object.entries(LIMITS)) {
      const places = [filled.filter((l) => l === name).length, Object.hasOwn(settings, name) ? 1 : 0];
      expect([name, ...places.toSorted()]).toEqual([name, 0, 1]);
      if (Object.hasOwn(settings, name)) expect(sample(text, `opta_setting{name="${name}"}`)).toBe(value);
      else {
        expect(sample(text, `opta_limit_value{name="${name}"}`), name).toBeGreaterThanOrEqual(0);
        expect(sample(text, `opta_limit_max{name="${name}"}`), name).toBeGreaterThan(0);
      }
    }
  });

  test('[SV3] what can be filled has its fill', async () => {
    const { settings } = await rowsOf();
    const missing = Object.keys(settings).filter((name) => name.includes('Max') && !OF_ONE_THING.has(name));
    expect(missing).toEqual([]);
    expect([...OF_ONE_THING].filter((name) => !Object.hasOwn(LIMITS, name))).toEqual([]);
  });

  test('[SV3] the fill is that of the fullest', async () => {
    h.create('a');
    h.create('b');
    h.submit('a', 'hang');
    h.run(20);
    for (let i = 0; i < 3; i++) h.submit('a', 'hang');
    h.submit('b', 'hang');
    h.submit('b', 'hang');
    h.run(20);
    const { limits } = await rowsOf();
    const level = (limit: string) => limits.find((g) => g.limit === limit)?.value;
    expect([level('queueTurnsMax'), level('sessionsLiveMax')]).toEqual([3, 2]);
    const text = await page();
    expect(sample(text, 'opta_limit_value{name="queueTurnsMax"}')).toBe(3);
    expect(sample(text, 'opta_turns_active')).toBe(2);
    expect(sample(text, 'opta_turns_queued')).toBe(4);
    expect(sample(text, 'opta_turns_submitted_total')).toBe(6);
  });
});

describe('the page', () => {
  test('[SV3] is the text format: each metric with its head, names and labels that are allowed, no sample twice', async () => {
    const lines = (await page()).trimEnd().split('\n');
    const heads = new Map<string, string>();
    const seen = new Set<string>();
    for (const line of lines) {
      const head = /^# (HELP|TYPE) ([a-z_]+) (.+)$/.exec(line);
      if (head?.[1] === 'TYPE') heads.set(head[2] as string, head[3] as string);
      if (line.startsWith('#')) {
        expect(head, line).not.toBeNull();
        continue;
      }
      const found = /^([a-z_]+)(\{(?:[a-z]+="(?:[^"\\]|\\.)*",?)+\})? (-?[0-9.e+-]+)$/.exec(line);
      expect(found, line).not.toBeNull();
      const name = (found?.[1] ?? '').replace(/_(sum|count)$/, '');
      expect(heads.has(name) || heads.has(found?.[1] ?? ''), line).toBe(true);
      const key = `${found?.[1]}${found?.[2] ?? ''}`;
      expect(seen.has(key), `${key} twice`).toBe(false);
      seen.add(key);
    }
    for (const [name, type] of heads) expect([name, type === 'counter']).toEqual([name, name.endsWith('_total')]);
  });

  test('[SV3] says what runs, how it is, and what it needs', async () => {
    await page();
    const text = await page();
    expect(sample(text, `opta_build_info{version="1.2.3",adapter="ws",node="${process.versions.node}"}`)).toBe(1);
    expect(sample(text, 'opta_state{state="ready"}')).toBe(1);
    expect(sample(text, 'opta_state{state="read-only"}')).toBe(0);
    expect(sample(text, 'opta_storage_ok')).toBe(1);
    expect(sample(text, 'opta_request_seconds_count')).toBeGreaterThan(0);
    for (const name of ['opta_uptime_seconds', 'process_resident_memory_bytes', 'process_cpu_seconds_total']) {
      expect(sample(text, name), name).toBeGreaterThan(0);
    }
    for (const name of ['opta_slow_sockets_closed_total', 'opta_storage_failures_total', 'opta_sessions_quarantined']) {
      expect(sample(text, name), name).toBe(0);
    }
    expect(sample(text, 'opta_event_loop_delay_seconds{quantile="0.99"}')).toBeGreaterThanOrEqual(0);
  });

  test('[AC1] needs the token', async () => {
    const asked = adapter.ask('/metrics');
    expect([asked.reply?.status, asked.header('content-type')]).toEqual([401, 'application/json; charset=utf-8']);
  });

  test('[SV3] text from outside cannot break a line or a label', () => {
    expect(family('m', 'gauge', 'a\nb\\c', [[{ l: 'x"y\\z\n' }, 1]])).toBe(
      '# HELP m a\\nb\\\\c\n# TYPE m gauge\nm{l="x\\"y\\\\z\\n"} 1\n',
    );
  });
});
