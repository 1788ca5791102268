"""How long each stretch of a curve is: what a drawing asks for is found without reading all of them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="metricchunk",
            name="last_step",
            field=models.PositiveBigIntegerField(null=True, help_text="None: written by an earlier version."),
        ),
        migrations.AddField(
            model_name="metricchunk",
            name="points",
            field=models.PositiveIntegerField(default=0, help_text="How many; 0: written by an earlier version."),
        ),
    ]
