/** The foot of the customize form: what the job takes. */
import type { CustomizeTraits, Estimate } from './customize';
import { formatBytes, formatDuration, formatNumber, plainText } from './format';
import { FormFoot } from './FormFoot';
import { trans } from './i18n';
import { useTrait, type Model } from './model';
import type { SpecFormState } from './useSpecForm';

interface CustomizeFootProps {
  readonly model: Model<CustomizeTraits>;
  readonly form: SpecFormState;
}

/** The foot. */
export function CustomizeFoot({ model, form }: CustomizeFootProps) {
  const estimate = useTrait(model, 'estimate');
  return (
    <FormFoot
      model={model}
      form={form}
      takes={estimateText(estimate).join(' · ')}
      basis={basisOf(estimate)}
      checks={trans.__('Checking: every row is read and two steps are measured…')}
      checkHint={trans.__('Reads every row, measures time and memory, starts nothing')}
      submit={trans.__('Customize')}
    />
  );
}

/** What the job takes, as far as it is known. */
function estimateText({ steps, time_s, memory_bytes, memory_free, disk_bytes }: Estimate): readonly string[] {
  const isTooMuch = memory_bytes !== undefined && memory_free !== undefined && memory_bytes > memory_free;
  return [
    steps === undefined ? trans.__('Check counts the steps') : trans._n('%1 step', '%1 steps', steps),
    time_s === undefined
      ? steps === undefined
        ? ''
        : trans.__('Check measures the time')
      : trans.__('about %1', formatDuration(time_s)),
    memory_bytes === undefined
      ? ''
      : isTooMuch
        ? trans.__('%1 memory, and %2 are free', formatBytes(memory_bytes), formatBytes(memory_free))
        : trans.__('%1 memory', formatBytes(memory_bytes)),
    disk_bytes === undefined || disk_bytes === null ? '' : trans.__('%1 disk', formatBytes(disk_bytes))
  ].filter(Boolean);
}

/** Where the figures come from. */
function basisOf(estimate: Estimate): string {
  const { train_rows, eval_rows, evaluations, time_from, memory_bytes, is_measured: isMeasured = false } = estimate;
  return [
    train_rows === undefined
      ? ''
      : trans.__('%1 rows to train on, %2 held out', formatNumber(train_rows), formatNumber(eval_rows ?? 0)),
    evaluations ? trans._n('%1 held-out evaluation', '%1 held-out evaluations', evaluations) : '',
    ...(isMeasured
      ? [trans.__('time and memory as measured')]
      : [
          time_from === undefined ? '' : trans.__('time as in %1', plainText(time_from)),
          memory_bytes === undefined ? '' : trans.__('memory by formula')
        ])
  ]
    .filter(Boolean)
    .join('; ');
}
