import { describe } from 'vitest';
import { onAdapter, uwsMissing, ws } from './world.ts';

/**
 * The planes once more, over `ws`. On their own these files run over uWebSockets.js; where that does not load they run over `ws`
 * already, and there is nothing to repeat.
 */
const title = uwsMissing === null ? 'over ws' : 'over ws (skipped: here the files themselves run over it)';
describe.skipIf(uwsMissing !== null)(title, async () => {
  onAdapter(ws);
  describe('http plane', async () => void (await import('./http-plane.test.ts')));
  describe('event plane', async () => void (await import('./event-plane.test.ts')));
  describe('access', async () => void (await import('./access.test.ts')));
  describe('event stream', async () => void (await import('./event-stream.test.ts')));
  describe('cors', async () => void (await import('./cors.test.ts')));
  describe('hello', async () => void (await import('./hello.test.ts')));
  describe('read-only', async () => void (await import('./read-only.test.ts')));
  describe('problem', async () => void (await import('./problem.test.ts')));
  describe('header fields', async () => void (await import('./header-fields.test.ts')));
  describe('files of the page', async () => void (await import('./web-files.test.ts')));
  describe('web access', async () => void (await import('./web-access.test.ts')));
  describe('adversarial', async () => void (await import('./adversarial.test.ts')));
});
