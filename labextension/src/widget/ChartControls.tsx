/** What is set for all charts of a view at once: smoothing, the value axis, and one chart more. */
import { trans } from './i18n';

interface ChartControlsProps {
  readonly smoothing: number;
  readonly log: boolean;
  /** The charts that could be added, by key and title. */
  readonly more: readonly (readonly [key: string, title: string])[];
  readonly onChange: (change: { readonly smoothing: number } | { readonly log: boolean }) => void;
  readonly onAdd: (key: string) => void;
}

/** The row of controls above the charts. */
export function ChartControls({ smoothing, log, more, onChange, onAdd }: ChartControlsProps) {
  return (
    <div className="tunelab-controls">
      <label>
        {trans.__('Smoothing')}
        <input
          type="range"
          min={0}
          max={0.98}
          step={0.02}
          value={smoothing}
          onChange={event => {
            onChange({ smoothing: Number(event.target.value) });
          }}
        />
      </label>
      <label>
        <input
          type="checkbox"
          checked={log}
          onChange={event => {
            onChange({ log: event.target.checked });
          }}
        />
        {trans.__('Log axis')}
      </label>
      <select
        aria-label={trans.__('Add a chart')}
        value=""
        disabled={more.length === 0}
        onChange={event => {
          onAdd(event.target.value);
        }}
      >
        <option value="">{trans.__('Add a chart…')}</option>
        {more.map(([key, title]) => (
          <option key={key} value={key}>
            {title}
          </option>
        ))}
      </select>
    </div>
  );
}
