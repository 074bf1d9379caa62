from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('journal', '0006_samples'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='lockevent',
            index=models.Index(condition=models.Q(('generation__gt', 0)), fields=['generation', 'id'], name='journal_event_generation'),
        ),
    ]
