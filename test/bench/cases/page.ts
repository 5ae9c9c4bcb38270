import { setTimeout as sleep } from 'node:timers/promises';
import { hasBrowser, openBrowser, Tab } from '../../support/browser.ts';
import { Connection } from '../http.ts';
import { figure, quantile } from '../stats.ts';
import { createSession, submit, type World, withDaemon } from '../world.ts';

const TOKENS_PER_S = 500;
const LOOK_MS = 5_000;
const WARM_MS = 1_500;

/** Moments of the frames that the page was given within a time. */
const FRAMES = `new Promise((resolve) => {
  const at = [];
  const look = (now) => { at.push(now); if (now - at[0] < ${LOOK_MS}) requestAnimationFrame(look); else resolve(at); };
  requestAnimationFrame(look);
})`;

interface Seen {
  perS: number;
  /** Between two frames, 95 of 100 times at most. */
  gapMs: number;
}

const framesOf = async (tab: Tab): Promise<Seen> => {
  const at = await tab.page.evaluate<number[]>(FRAMES);
  const gaps = at.slice(1).map((ms, i) => ms - (at[i] as number));
  const first = at[0] ?? 0;
  return { perS: (gaps.length * 1000) / ((at.at(-1) ?? first) - first), gapMs: quantile(gaps, 0.95) };
};

/** Frames of the session's page while an answer of 500 tokens a second streams into it, beside the same page at rest. */
export const pageFrames = async (world: World): Promise<void> => {
  if (!hasBrowser) {
    process.stderr.write('skipped: no chromium here … ');
    return;
  }
  await withDaemon(world, async (daemon) => {
    const http = new Connection(daemon.port, daemon.token);
    const browser = await openBrowser();
    const rest: Seen[] = [];
    const stream: Seen[] = [];
    try {
      for (let rep = 0; rep < world.reps; rep++) {
        const id = await createSession(http);
        const { body } = await http.request('POST', '/v3/web/tickets', '{}');
        const tab = await Tab.open(browser);
        await tab.go(`${JSON.parse(body).url}&session=${id}`);
        await tab.page.getByRole('textbox', { name: 'Message' }).waitFor();
        await sleep(WARM_MS);
        rest.push(await framesOf(tab));
        const turnId = await submit(http, id, `bench tokens=60000 tps=${TOKENS_PER_S}`);
        await sleep(WARM_MS);
        stream.push(await framesOf(tab));
        await http.request('POST', `/v3/sessions/${id}/cancel`, JSON.stringify({ turnId }));
        await tab.close();
      }
    } finally {
      await browser.close();
      http.close();
    }
    const perS = figure(stream.map((seen) => seen.perS));
    const what = `the session’s page, ${TOKENS_PER_S} tokens/s`;
    world.add({
      case: 'l',
      what: `${what}: frames a second`,
      unit: '',
      ours: perS,
      peer: figure(rest.map((seen) => seen.perS)),
      peerName: 'at rest',
      target: '≥ 50',
      met: perS.median >= 50,
    });
    world.add({
      case: 'l',
      what: `${what}: between frames, p95`,
      unit: ' ms',
      ours: figure(stream.map((seen) => seen.gapMs)),
      peer: figure(rest.map((seen) => seen.gapMs)),
      peerName: 'at rest',
    });
  });
};
