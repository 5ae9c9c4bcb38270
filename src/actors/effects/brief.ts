import { fromCallback } from 'xstate';
import type { BriefInput } from '../machines/turn.ts';
import type { TurnEvent } from '../messages.ts';
import type { Briefing } from '../ports.ts';

/** Gathers what a turn begins with. A turn that ended, or that did not wait any longer, hears nothing. */
export const briefEffect = (briefing: Briefing) =>
  fromCallback<{ type: 'none' }, BriefInput>(({ input, sendBack }) => {
    let over = false;
    const giveUp = briefing.brief(input, (brief) => {
      if (!over) sendBack({ type: 'briefed', brief } satisfies TurnEvent);
    });
    return () => {
      over = true;
      giveUp();
    };
  });
