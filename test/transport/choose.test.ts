import { expect, test } from 'vitest';
import { chooseTransport } from '../../src/transport/choose.ts';
import { uwsAdapter } from '../../src/transport/uws/adapter.ts';
import { uwsMissing } from './world.ts';

const REASONS = [
  'uWebSockets.js has no binary for node 24 on linux x64 (uws_linux_x64_137.node)',
  '@trufflesuite/uws-js-unofficial is not installed',
];
const none = (reasons = REASONS) => ({ reasons });

test('[SV3] without a word it is uWebSockets.js where it loads, and ws elsewhere, with the reason in words', () => {
  const found = { name: 'uws', why: 'found' } as const;
  const uws = { ...found, create: () => expect.unreachable() };
  for (const wanted of [undefined, '']) expect(chooseTransport(wanted, () => uws)).toBe(uws);
  expect(chooseTransport('uws', () => uws)).toBe(uws);
  expect(chooseTransport(undefined, none)).toMatchObject({
    name: 'ws',
    why: 'uWebSockets.js has no binary for node 24 on linux x64 (uws_linux_x64_137.node)',
  });
  const nothing = ['uWebSockets.js is not installed', '@trufflesuite/uws-js-unofficial is not installed'];
  expect(chooseTransport(undefined, () => none(nothing)).why).toBe(nothing.join('; '));
});

test('[SV3] ws by name does not even look for the other', () => {
  expect(chooseTransport('ws', () => expect.unreachable())).toMatchObject({ name: 'ws', why: 'OPTA_TRANSPORT=ws' });
});

test('[SV3] uws by name, where it does not load, and any other word are clear errors', () => {
  expect(() => chooseTransport('uws', none)).toThrow(
    /^OPTA_TRANSPORT=uws, but uWebSockets\.js does not load here: .*137/,
  );
  expect(() => chooseTransport('UWS ')).toThrow('OPTA_TRANSPORT is uws or ws, not "UWS "');
});

test('[SV3] here it is one of the two, and it says which', () => {
  const here = uwsAdapter();
  expect(chooseTransport(undefined)).toMatchObject(
    'reasons' in here
      ? { name: 'ws', why: expect.stringContaining('has no binary for node') }
      : { name: 'uws', why: here.why },
  );
  expect(uwsMissing === null).toBe(!('reasons' in here));
});
