import { stepArms, takingArms } from './arms.ts';
import type { CompletedCommand, CompletedOption, Offer } from './tree.ts';

const quoted = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;
const arm = (patterns: string[], does: string): string =>
  patterns.length === 0 ? '' : `            case ${patterns.map(quoted).join(' ')}\n                ${does}\n`;

const list = (offer: Offer): string =>
  offer === null
    ? ''
    : 'ask' in offer
      ? quoted(`(opta complete-words ${offer.ask} 2>/dev/null)`)
      : quoted(offer.words.join(' '));

export const fishScript = (commands: readonly CompletedCommand[]): string => {
  const steps = stepArms(commands, arm, (to) => `set at ${quoted(to)}; set n 0`);
  const taking = takingArms(commands, arm, 'set pending 1');
  return `# Whether the words so far lead to this command; with a second argument, and to this place behind it.
function __opta_at
    set -l at ''
    set -l n 0
    set -l pending 0
    set -l typed (commandline -opc)
    for word in $typed[2..-1]
        if test $pending = 1
            set pending 0
            continue
        end
        switch "$at:$word"
${steps.join('')}            case '*:-*'
            case '*'
                set n (math $n + 1)
        end
        switch "$at:$word"
${taking.join('')}        end
    end
    test "$at" = "$argv[1]"; or return 1
    test (count $argv) -lt 2; and return 0
    test $n -ge $argv[2]; and test $n -le $argv[3]
end
complete -c opta -e
${commands.flatMap(linesOf).join('')}`;
};

const EVERYWHERE = 99;

const linesOf = (c: CompletedCommand): string[] => {
  const at = (...place: number[]): string =>
    `complete -c opta -n ${quoted(['__opta_at', `'${c.path}'`, ...place].join(' '))}`;
  const below = c.commands.map(({ word, text }) => `${at(0, 0)} -f -a ${quoted(word)} -d ${quoted(text)}\n`);
  const places = c.arguments.flatMap(({ offer, variadic }, i) =>
    offer === null ? [] : [`${at(i, variadic ? EVERYWHERE : i)} -f -a ${list(offer)}\n`],
  );
  return [...below, ...places, ...c.options.map((option) => `${at()} ${optionOf(option)}\n`)];
};

const optionOf = ({ names, text, takesValue, offer }: CompletedOption): string => {
  const flags = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  const value = takesValue ? (offer === null ? ' -r' : ` -x -a ${list(offer)}`) : '';
  return `${flags.join(' ')}${value} -d ${quoted(text)}`;
};
