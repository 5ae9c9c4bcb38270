import { jobControl } from './job.ts';
import { type Key, listenKeys } from './keys.ts';
import { Picker } from './picker.ts';
import { onScreen, type Terminal } from './run.ts';

/**
 * A list on the whole screen, while there is no session yet to show. Resolves with the place that was chosen, from 1, or with null
 * when the person leaves.
 */
export const chooseOnScreen = (title: string, rows: readonly string[], terminal: Terminal): Promise<number | null> =>
  onScreen(terminal, async (surface, gone) => {
    const { input } = terminal;
    let settle: (place: number | null) => void = () => undefined;
    const chosen = new Promise<number | null>((resolve) => {
      settle = resolve;
    });
    const draw = (): void => surface.paint(picker.rows(surface.width, surface.height), null);
    const picker: Picker = new Picker({
      title,
      hint: 'Enter opens · / looks for · Esc leaves',
      search: 'slash',
      load: async () => rows.map((label, i) => ({ id: String(i + 1), label, detail: '' })),
      choose: ({ id }) => settle(Number(id)),
      changed: () => draw(),
    });
    const job = jobControl(surface, input, draw);
    const press = (key: Key): void => {
      if (key.ctrl) CONTROLS[key.name]?.({ leave: () => settle(null), suspend: job.suspend });
      else if (key.name === 'escape') {
        if (!picker.back()) settle(null);
      } else if (!picker.key(key) && key.text === 'q') settle(null);
      draw();
    };
    surface.onResize(draw);
    const paste = (text: string): void => {
      picker.paste(text);
      draw();
    };
    const undo = listenKeys(input, { key: press, paste });
    try {
      draw();
      return await Promise.race([chosen, gone]);
    } finally {
      job.undo();
      undo();
      picker.close();
    }
  });

const CONTROLS: { readonly [name: string]: (does: { leave(): void; suspend(): void }) => void } = {
  c: ({ leave }) => leave(),
  d: ({ leave }) => leave(),
  z: ({ suspend }) => suspend(),
};
