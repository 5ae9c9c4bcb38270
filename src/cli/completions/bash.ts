import { stepArms, takingArms, valueArms } from './arms.ts';
import type { CompletedCommand, Offer } from './tree.ts';

/** One line of a `case`; none for words that are not there. */
const arm = (patterns: string[], does: string): string =>
  patterns.length === 0 ? '' : `      ${patterns.map((p) => `'${p}'`).join('|')}) ${does} ;;\n`;

const words = (offer: Offer): string =>
  offer === null ? '' : 'ask' in offer ? `$(opta complete-words ${offer.ask} 2>/dev/null)` : offer.words.join(' ');

export const bashScript = (commands: readonly CompletedCommand[]): string => {
  const steps = stepArms(commands, arm, (to) => `at='${to}' n=0`);
  const taking = takingArms(commands, arm, 'pending=$word');
  const values = valueArms(commands, arm, (offer) => `found="${words(offer)}"`);
  const flags = commands.map((c) => arm([c.path], `found="${c.options.flatMap((o) => o.names).join(' ')}"`));
  const places = commands.flatMap((c) => placesOf(c));
  return `_opta() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" at='' n=0 pending='' word found='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    # "--format=json" comes in three pieces.
    [[ $word == '=' ]] && continue
    if [[ -n $pending ]]; then pending=''; continue; fi
    case "$at:$word" in
${steps.join('')}      *:-*) ;;
      *) n=$((n + 1)) ;;
    esac
    case "$at:$word" in
${taking.join('')}      *) ;;
    esac
  done
  [[ $cur == '=' ]] && cur=''
  if [[ -n $pending ]]; then
    case "$at:$pending" in
${values.join('')}      *) ;;
    esac
  elif [[ $cur == -* ]]; then
    case "$at" in
${flags.join('')}      *) ;;
    esac
  else
    case "$at:$n" in
${places.join('')}      *) ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$found" -- "$cur"))
}
complete -o bashdefault -o default -F _opta opta
`;
};

const placesOf = (c: CompletedCommand): string[] => {
  const below = c.commands.map(({ word }) => word).join(' ');
  const first = arm([`${c.path}:0`], `found="${[below, words(c.arguments[0]?.offer ?? null)].join(' ').trim()}"`);
  const later = c.arguments.flatMap(({ offer, variadic }, i) => {
    if (offer === null || (i === 0 && !variadic)) return [];
    const place = variadic ? `'${c.path}:'[${i === 0 ? 1 : i}-9]` : `'${c.path}:${i}'`;
    return [`      ${place}) found="${words(offer)}" ;;\n`];
  });
  return below === '' && (c.arguments[0]?.offer ?? null) === null ? later : [first, ...later];
};
