import { createStore } from '@xstate/store';
import { useEffect } from 'preact/hooks';
import type { IconName } from '../parts/icon.tsx';

/** Something that can be done now, by name. */
export interface Action {
  id: string;
  name: string;
  icon: IconName;
  /** Keys that do the same, for people to read. */
  keys?: string;
  run: () => void;
}

/** What is open in front of the page, and what the palette offers of the page at hand. */
export const shell = createStore({
  context: { open: null as 'palette' | 'new-session' | null, actions: [] as readonly Action[] },
  on: {
    opened: (context, { what }: { what: 'palette' | 'new-session' }) => ({ ...context, open: what }),
    closed: (context) => ({ ...context, open: null }),
    offered: (context, { actions }: { actions: readonly Action[] }) => ({ ...context, actions }),
  },
});

/** Puts the page's own actions into the palette, as long as the page is shown. */
export const useActions = (actions: readonly Action[], when: readonly unknown[] = []): void => {
  useEffect(() => {
    shell.trigger.offered({ actions });
    return () => void shell.trigger.offered({ actions: [] });
  }, [...when]);
};
