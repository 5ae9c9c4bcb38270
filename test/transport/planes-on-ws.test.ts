import { describe } from 'vitest';
import { onAdapter, uwsMissing, ws } from './world.ts';

/**
 * The planes once more, over `ws`. On their own these files run over uWebSockets.js; where that does not load they run over `ws`
 * already, and there is nothing to repeat.
 */
describe.skipIf(uwsMissing !== null)('over ws', async () => {
  onAdapter(ws);
  describe('http plane', async () => void (await import('./http-plane.test.ts')));
  describe('event plane', async () => void (await import('./event-plane.test.ts')));
  describe('access', async () => void (await import('./access.test.ts')));
  describe('adversarial', async () => void (await import('./adversarial.test.ts')));
});
